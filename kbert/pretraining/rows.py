"""Pre-training rows drawn from a token store: a pure function of (store, seed, number).

Nothing is stored between batches: any worker can draw any batch, masking differs in every epoch,
and a run resumes at step n by drawing batch n.
"""

from typing import NamedTuple

import numpy as np

from kbert.corpus.store import TokenStore
from kbert.errors import DataError
from kbert.pretraining.masking.token import mask_tokens, max_predictions, num_draws
from kbert.pretraining.pairs import Pairs, check_split
from kbert.pretraining.windows import NUM_SPECIAL, Windows, joined, lengths, num_tokens
from kbert.text.segments import layout
from kbert.text.vocabulary import SPECIAL_TOKENS

# A packed row holds at most one example for so many positions. It costs little (a pooled vector a
# slot), and leaves positions empty only where examples are shorter on average.
_POSITIONS_AN_EXAMPLE = 8


class Examples(NamedTuple):
    """What stands in the rows of a batch, sorted by row.

    Attributes:
        row: of each example, (examples,).
        pairs: its spans, (examples,).
        mask_draws: uniform numbers for masking, (batch, draws).
    """

    row: np.ndarray
    pairs: Pairs
    mask_draws: np.ndarray


class PretrainingRows:
    """Masked next-sentence rows of one split, in batches.

    Args:
        store, split: where the text comes from.
        sequence_length: tokens of a row.
        batch_size: rows of a batch.
        seed: of all that is drawn.
        masking_rate: share of the tokens that are predicted.
        short_probability: of examples that aim at a random smaller length.
        packing: put several examples into a row, as they fit; else each has its own.
        first_row: number of the first row of batch 0.

    `batch(n)` gives `(inputs, targets, weights)` as NumPy dicts: inputs `token_ids`, `segment_ids`,
    `padding_mask` (batch, sequence), `mask_positions` (batch, predictions), `cls_positions` (batch,
    sequences a row), int32; targets and float32 weights `masked_lm` (batch, predictions) and
    `next_sentence` (batch, sequences a row). The weights of each sum to 1, so that parts of a batch
    simply add up; in unused slots they are 0.
    """

    def __init__(
        self,
        store: TokenStore,
        split: str,
        *,
        sequence_length: int,
        batch_size: int,
        seed: int,
        masking_rate: float = 0.15,
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
        self.sequence_length = sequence_length
        self.batch_size = batch_size
        self.masking_rate = masking_rate
        self.first_row = first_row
        self.sequences_per_row = max(1, sequence_length // _POSITIONS_AN_EXAMPLE) if packing else 1
        self.windows = Windows(
            self.split, sequence_length, self.sequences_per_row, seed, short_probability
        )
        self.pad_id, self.cls_id, self.sep_id, self.mask_id = (
            store.vocabulary.index(token) for token in ("[PAD]", "[CLS]", "[SEP]", "[MASK]")
        )
        is_ordinary = np.array([piece not in SPECIAL_TOKENS for piece in store.vocabulary])
        self.is_ordinary = is_ordinary
        self.ordinary_ids = np.flatnonzero(is_ordinary)

    @property
    def rows_per_epoch(self) -> int:
        """One pass over the tokens, up to the short rows and the texts from elsewhere."""
        return self.windows.rows_per_epoch

    def batch(self, number: int):
        """The batch of a step, counted from 0 over all epochs."""
        examples = self._examples(number)
        inputs, next_sentence, is_used = self._assemble(examples)
        # The tokens of a row are masked together, whichever examples they belong to: so every row
        # has 15 % of them, and none too many for its slots.
        masked = mask_tokens(
            inputs["token_ids"],
            (inputs["padding_mask"] > 0) & self.is_ordinary[inputs["token_ids"]],
            examples.mask_draws,
            masking_rate=self.masking_rate,
            mask_id=self.mask_id,
            ordinary_ids=self.ordinary_ids,
        )
        inputs |= {"token_ids": masked.token_ids, "mask_positions": masked.positions}
        targets = {"masked_lm": masked.targets, "next_sentence": next_sentence}
        weights = {
            "masked_lm": masked.weights / max(masked.weights.sum(), 1),
            "next_sentence": is_used / is_used.sum(),
        }
        return _cast(inputs, np.int32), _cast(targets, np.int32), _cast(weights, np.float32)

    def num_tokens(self, number: int) -> int:
        """How many positions of a batch are no padding."""
        parts = [self.windows.pairs(part)[1] for part in self._parts(number)]
        return sum(int(num_tokens(pairs).sum()) for pairs in parts)

    def max_predictions(self) -> int:
        return max_predictions(self.sequence_length, self.masking_rate)

    def _parts(self, number):
        first = self.first_row + number * self.batch_size
        return self.windows.parts(first, self.batch_size)

    def _examples(self, number) -> Examples:
        width = num_draws(self.sequence_length, self.masking_rate)
        rows, pairs, draws, done = [], [], [], 0
        for part in self._parts(number):
            row, found = self.windows.pairs(part)
            rows.append(row + done)
            pairs.append(found)
            draws.append(self.windows.mask_draws(part, width))
            done += part.stop - part.start
        return Examples(np.concatenate(rows), joined(pairs), np.concatenate(draws))

    def _assemble(self, examples: Examples):
        """Inputs before masking, is_random and which slots are used (batch, sequences a row)."""
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
        tokens[place.is_separator] = self.sep_id
        tokens[place.index == 0] = self.cls_id
        shape = (self.batch_size, self.sequence_length)
        at = (row[of], start[of] + place.index)
        slots = (self.batch_size, self.sequences_per_row)
        inputs = {
            "token_ids": _scattered(shape, at, tokens, self.pad_id),
            "segment_ids": _scattered(shape, at, place.segment_ids),
            "padding_mask": _scattered(shape, at, 1 + slot[of]),
            "cls_positions": _scattered(slots, (row, slot), start),
        }
        return (
            inputs,
            _scattered(slots, (row, slot), pairs.is_random),
            _scattered(slots, (row, slot), 1),
        )


def _scattered(shape, at, values, elsewhere=0):
    array = np.full(shape, elsewhere, np.int64)
    array[at] = values
    return array


def _cast(arrays: dict, dtype) -> dict:
    return {name: np.ascontiguousarray(array, dtype) for name, array in arrays.items()}
