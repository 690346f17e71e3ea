"""Pre-training rows drawn from a token store: a pure function of (store, seed, number).

Nothing is stored between batches: any worker can draw any batch, masking differs in every epoch,
and a run resumes at step n by drawing batch n.
"""

import functools
import math

import numpy as np

from kbert.data.masking import mask_tokens, max_predictions, num_draws
from kbert.data.pairs import NUM_DRAWS, check_split, draw_pairs
from kbert.data.store import TokenStore
from kbert.errors import DataError
from kbert.text.segments import layout, num_special_tokens
from kbert.text.vocabulary import SPECIAL_TOKENS

NUM_SPECIAL = num_special_tokens(pair=True)


class PretrainingRows:
    """Masked next-sentence rows of one split, in batches.

    Args:
        store, split: where the text comes from.
        sequence_length: tokens of a row.
        batch_size: rows of a batch.
        seed: of all that is drawn.
        masking_rate: share of the tokens that are predicted.
        short_probability: of rows that aim at a random smaller length.

    `batch(n)` gives `(inputs, targets, weights)` as NumPy dicts: inputs `token_ids`, `segment_ids`,
    `padding_mask` (batch, sequence), `mask_positions` (batch, predictions), `cls_positions` (batch,
    1), int32; targets and float32 weights `masked_lm` (batch, predictions) and `next_sentence`
    (batch, 1). The weights of each sum to 1, so that parts of a batch simply add up.
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
        self.seed = seed
        self.masking_rate = masking_rate
        self.short_probability = short_probability
        self.pad_id, self.cls_id, self.sep_id, self.mask_id = (
            store.vocabulary.index(token) for token in ("[PAD]", "[CLS]", "[SEP]", "[MASK]")
        )
        is_ordinary = np.array([piece not in SPECIAL_TOKENS for piece in store.vocabulary])
        self.is_ordinary = is_ordinary
        self.ordinary_ids = np.flatnonzero(is_ordinary)
        # One pass over the tokens, up to the short rows and the texts from elsewhere.
        self.rows_per_epoch = max(1, len(self.split.tokens) // (sequence_length - NUM_SPECIAL))
        draws = 1 + NUM_DRAWS + num_draws(sequence_length, masking_rate)
        self._draws_per_row = 4 * math.ceil(draws / 4)  # Philox gives numbers in fours

    def batch(self, number: int):
        """The batch of a step, counted from 0 over all epochs."""
        places, draws = self._draws(number * self.batch_size)
        pair_draws, mask_draws = draws[:, 1 : 1 + NUM_DRAWS], draws[:, 1 + NUM_DRAWS :]
        pairs = draw_pairs(
            self.split,
            places,
            pair_draws,
            max_tokens=self.sequence_length - NUM_SPECIAL,
            short_probability=self.short_probability,
        )
        token_ids, segment_ids, padding_mask = self._assemble(pairs)
        masked = mask_tokens(
            token_ids,
            (padding_mask > 0) & self.is_ordinary[token_ids],
            mask_draws[:, : num_draws(self.sequence_length, self.masking_rate)],
            masking_rate=self.masking_rate,
            mask_id=self.mask_id,
            ordinary_ids=self.ordinary_ids,
        )
        inputs = {
            "token_ids": masked.token_ids,
            "segment_ids": segment_ids,
            "padding_mask": padding_mask,
            "mask_positions": masked.positions,
            "cls_positions": np.zeros((self.batch_size, 1)),
        }
        targets = {"masked_lm": masked.targets, "next_sentence": pairs.is_random[:, None]}
        weights = {
            "masked_lm": masked.weights / max(masked.weights.sum(), 1),
            "next_sentence": np.full((self.batch_size, 1), 1 / self.batch_size),
        }
        return _cast(inputs, np.int32), _cast(targets, np.int32), _cast(weights, np.float32)

    def max_predictions(self) -> int:
        return max_predictions(self.sequence_length, self.masking_rate)

    def _draws(self, first_row: int):
        """Where each row starts in the split, in [0, 1), and all its other uniform numbers."""
        numbers = first_row + np.arange(self.batch_size)
        epochs, rows = np.divmod(numbers, self.rows_per_epoch)
        draws = np.concatenate(
            [self._table(epoch, rows[epochs == epoch]) for epoch in np.unique(epochs)]
        )
        order = np.concatenate(
            [
                _order(self.seed, epoch, self.rows_per_epoch)[rows[epochs == epoch]]
                for epoch in np.unique(epochs)
            ]
        )
        # Each row of an epoch starts in a stretch of its own, so that a pass covers all text.
        return (order + draws[:, 0]) / self.rows_per_epoch, draws

    def _table(self, epoch: int, rows: np.ndarray):
        """Rows of the endless table of uniform numbers of an epoch, read where they stand."""
        bits = np.random.Philox(key=[self.seed, epoch])
        bits.advance(int(rows[0]) * self._draws_per_row // 4)
        return np.random.Generator(bits).random((len(rows), self._draws_per_row))

    def _assemble(self, pairs):
        """[CLS] first [SEP] second [SEP] and padding, each (batch, sequence)."""
        first_length = pairs.first_end - pairs.first_start
        second_length = pairs.second_end - pairs.second_start
        place = layout(first_length, second_length, self.sequence_length)
        source = np.where(
            place.is_first,
            pairs.first_start[:, None] + place.first_index,
            np.where(place.is_second, pairs.second_start[:, None] + place.second_index, 0),
        )
        token_ids = np.where(
            place.is_first | place.is_second, self.split.tokens[source], self.pad_id
        ).astype(np.int64)
        token_ids[place.is_separator] = self.sep_id
        token_ids[:, 0] = self.cls_id
        return token_ids, place.segment_ids, place.padding_mask


@functools.lru_cache(maxsize=2)
def _order(seed: int, epoch: int, rows: int) -> np.ndarray:
    """The order in which an epoch visits the stretches of text."""
    # A third number keeps this stream apart from the table of the same epoch.
    return np.random.default_rng([seed, epoch, 1]).permutation(rows)


def _cast(arrays: dict, dtype) -> dict:
    return {name: np.ascontiguousarray(array, dtype) for name, array in arrays.items()}
