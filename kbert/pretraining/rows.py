"""Pre-training rows drawn from a token store: a pure function of (store, seed, number).

Nothing is stored between batches: any worker can draw any batch, masking differs in every epoch,
and a run resumes at step n by drawing batch n.
"""

from typing import NamedTuple

import numpy as np

from kbert.corpus.store import TokenStore
from kbert.pretraining.examples.base import Spans, lengths
from kbert.pretraining.masking.token import TokenMasking
from kbert.pretraining.objectives.base import Arrays, Objective, PlainRows
from kbert.pretraining.objectives.masked_lm_next_sentence import MaskedLMNextSentence
from kbert.pretraining.windows import Windows, joined
from kbert.text.segments import layout

# A packed row holds at most one example for so many positions. It costs little (a pooled vector a
# slot), and leaves positions empty only where examples are shorter on average.
_POSITIONS_AN_EXAMPLE = 8


class _Drawn(NamedTuple):
    """What stands in the rows of a batch, sorted by row.

    Attributes:
        row: of each example, (examples,).
        spans: of each example, (examples,).
        draws: uniform numbers for the objective, (batch, draws).
    """

    row: np.ndarray
    spans: Spans
    draws: np.ndarray


class PretrainingRows:
    """Rows of one split in batches, as an objective wants them.

    Args:
        store, split: where the text comes from.
        objective: what a model learns from them; None for BERT's, with 15 % of the tokens masked.
        sequence_length: tokens of a row.
        batch_size: rows of a batch.
        seed: of all that is drawn.
        short_probability: of examples that aim at a random smaller length.
        packing: put several examples into a row, as they fit; else each has its own.
        first_row, first_step: number of the first row and of the step of batch 0.
        num_steps: of the whole run, over which an objective's settings may change.

    `batch(n)` gives `(inputs, targets, weights)` as dicts of arrays, the first two int32, weights
    float32. BERT's objective: inputs `token_ids`, `segment_ids`, `padding_mask` (batch, sequence),
    `mask_positions` (batch, predictions), `cls_positions` (batch, sequences a row); targets and
    weights `masked_lm` (batch, predictions) and `next_sentence` (batch, sequences a row). The
    weights of each sum to 1, so that parts of a batch simply add up; in unused slots they are 0.
    """

    def __init__(
        self,
        store: TokenStore,
        split: str,
        objective: Objective | None = None,
        *,
        sequence_length: int,
        batch_size: int,
        seed: int,
        short_probability: float = 0.1,
        packing: bool = True,
        first_row: int = 0,
        first_step: int = 0,
        num_steps: int = 1,
    ):
        self.split = store[split]
        self.objective = objective or MaskedLMNextSentence(TokenMasking(store.vocabulary))
        self.examples = self.objective.examples
        self.examples.check(self.split, split, sequence_length)
        self.sequence_length = sequence_length
        self.batch_size = batch_size
        self.first_row = first_row
        self.first_step = first_step
        self.num_steps = num_steps
        self.sequences_per_row = max(1, sequence_length // _POSITIONS_AN_EXAMPLE) if packing else 1
        self.windows = Windows(
            self.split,
            self.examples,
            sequence_length,
            self.sequences_per_row,
            seed,
            short_probability,
        )
        self._pad_id, self._cls_id, self._sep_id = (
            store.vocabulary.index(token) for token in ("[PAD]", "[CLS]", "[SEP]")
        )

    @property
    def rows_per_epoch(self) -> int:
        """One pass over the tokens, up to the short rows and the texts from elsewhere."""
        return self.windows.rows_per_epoch

    def batch(self, number: int) -> tuple[Arrays, Arrays, Arrays]:
        """The batch of a step, counted from 0 over all epochs."""
        drawn = self._draw(number)
        progress = (self.first_step + number) / max(1, self.num_steps - 1)
        inputs, targets, weights = self.objective.batch(
            self._assemble(drawn), drawn.draws, min(1.0, progress)
        )
        return _cast(inputs, np.int32), _cast(targets, np.int32), _cast(weights, np.float32)

    def num_tokens(self, number: int) -> int:
        """How many positions of a batch are no padding."""
        parts = [self.windows.spans(part)[1] for part in self._parts(number)]
        return sum(int(self.examples.num_tokens(spans).sum()) for spans in parts)

    def _parts(self, number):
        first = self.first_row + number * self.batch_size
        return self.windows.parts(first, self.batch_size)

    def _draw(self, number) -> _Drawn:
        width = self.objective.num_draws(self.sequence_length)
        rows, spans, draws, done = [], [], [], 0
        for part in self._parts(number):
            row, found = self.windows.spans(part)
            rows.append(row + done)
            spans.append(found)
            draws.append(self.windows.draws(part, width))
            done += part.stop - part.start
        return _Drawn(np.concatenate(rows), joined(spans), np.concatenate(draws))

    def _assemble(self, drawn: _Drawn) -> PlainRows:
        row, spans, _ = drawn
        length = self.examples.num_tokens(spans)
        before = np.cumsum(length) - length
        first = np.searchsorted(row, row)  # the first example of each example's row
        start = before - before[first]  # of each example in its row
        slot = np.arange(len(row)) - first
        place = layout(*lengths(spans)[: 1 + self.examples.is_pair])
        of = place.example
        source = np.where(
            place.is_first,
            spans.first_start[of] + place.first_index,
            np.where(place.is_second, spans.second_start[of] + place.second_index, 0),
        )
        tokens = self.split.tokens[source].astype(np.int64)
        tokens[place.is_separator] = self._sep_id
        tokens[place.index == 0] = self._cls_id
        shape = (self.batch_size, self.sequence_length)
        at = (row[of], start[of] + place.index)
        slots = (self.batch_size, self.sequences_per_row)
        return PlainRows(
            token_ids=_scattered(shape, at, tokens, self._pad_id),
            segment_ids=_scattered(shape, at, place.segment_ids),
            padding_mask=_scattered(shape, at, 1 + slot[of]),
            cls_positions=_scattered(slots, (row, slot), start),
            labels=_scattered(slots, (row, slot), spans.label, -1),
            marks={
                name: _scattered(shape, at, self._marks(name, source, place))
                for name in self.objective.marks
            },
        )

    def _marks(self, name, source, place):
        """What the store says of each token besides its id; 0 of a special token."""
        return np.where(place.is_first | place.is_second, getattr(self.split, name)[source], 0)


def _scattered(shape, at, values, elsewhere=0):
    array = np.full(shape, elsewhere, np.int64)
    array[at] = values
    return array


def _cast(arrays: dict, dtype) -> dict:
    return {name: np.ascontiguousarray(array, dtype) for name, array in arrays.items()}
