"""Pre-training rows drawn from a token store: a pure function of (store, seed, number).

Nothing is stored between batches: any worker can draw any batch, masking differs in every epoch,
and a run resumes at step n by drawing batch n.
"""

from typing import NamedTuple

import numpy as np

from kbert.corpus.store import TokenStore
from kbert.errors import DataError
from kbert.pretraining.masking.token import TokenMasking
from kbert.pretraining.objectives.base import Arrays, Objective, PlainRows
from kbert.pretraining.objectives.masked_lm_next_sentence import MaskedLMNextSentence
from kbert.pretraining.pairs import Pairs, check_split
from kbert.pretraining.windows import NUM_SPECIAL, Windows, joined, lengths, num_tokens
from kbert.text.segments import layout

# A packed row holds at most one example for so many positions. It costs little (a pooled vector a
# slot), and leaves positions empty only where examples are shorter on average.
_POSITIONS_AN_EXAMPLE = 8


class Examples(NamedTuple):
    """What stands in the rows of a batch, sorted by row.

    Attributes:
        row: of each example, (examples,).
        pairs: its spans, (examples,).
        draws: uniform numbers for the objective, (batch, draws).
    """

    row: np.ndarray
    pairs: Pairs
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
        first_row: number of the first row of batch 0.

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
    ):
        if sequence_length < NUM_SPECIAL + 2:
            raise DataError(
                f"A row must have at least {NUM_SPECIAL + 2} tokens: three special tokens and one "
                f"of each text. Received: sequence_length={sequence_length}."
            )
        self.split = store[split]
        check_split(self.split, split)
        self.objective = objective or MaskedLMNextSentence(TokenMasking(store.vocabulary))
        self.sequence_length = sequence_length
        self.batch_size = batch_size
        self.first_row = first_row
        self.sequences_per_row = max(1, sequence_length // _POSITIONS_AN_EXAMPLE) if packing else 1
        self.windows = Windows(
            self.split, sequence_length, self.sequences_per_row, seed, short_probability
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
        examples = self._examples(number)
        inputs, targets, weights = self.objective.batch(self._assemble(examples), examples.draws)
        return _cast(inputs, np.int32), _cast(targets, np.int32), _cast(weights, np.float32)

    def num_tokens(self, number: int) -> int:
        """How many positions of a batch are no padding."""
        parts = [self.windows.pairs(part)[1] for part in self._parts(number)]
        return sum(int(num_tokens(pairs).sum()) for pairs in parts)

    def _parts(self, number):
        first = self.first_row + number * self.batch_size
        return self.windows.parts(first, self.batch_size)

    def _examples(self, number) -> Examples:
        width = self.objective.num_draws(self.sequence_length)
        rows, pairs, draws, done = [], [], [], 0
        for part in self._parts(number):
            row, found = self.windows.pairs(part)
            rows.append(row + done)
            pairs.append(found)
            draws.append(self.windows.draws(part, width))
            done += part.stop - part.start
        return Examples(np.concatenate(rows), joined(pairs), np.concatenate(draws))

    def _assemble(self, examples: Examples) -> PlainRows:
        row, pairs, _ = examples
        before = np.cumsum(num_tokens(pairs)) - num_tokens(pairs)
        first = np.searchsorted(row, row)  # the first example of each example's row
        start = before - before[first]  # of each example in its row
        slot = np.arange(len(row)) - first
        place = layout(*lengths(pairs))
        of = place.pair
        source = np.where(
            place.is_first,
            pairs.first_start[of] + place.first_index,
            np.where(place.is_second, pairs.second_start[of] + place.second_index, 0),
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
            is_random=_scattered(slots, (row, slot), pairs.is_random),
            is_used=_scattered(slots, (row, slot), 1),
        )


def _scattered(shape, at, values, elsewhere=0):
    array = np.full(shape, elsewhere, np.int64)
    array[at] = values
    return array


def _cast(arrays: dict, dtype) -> dict:
    return {name: np.ascontiguousarray(array, dtype) for name, array in arrays.items()}
