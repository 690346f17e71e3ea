"""Two language models side by side, left to right and right to left (ELMo, arXiv 1802.05365)."""

import numpy as np

from kbert.pretraining.objectives.base import normalized
from kbert.pretraining.objectives.left_to_right import LeftToRight


class TwoDirectional(LeftToRight):
    """Predicts every piece of a text from what stands before it, and from what stands behind it.

    The encoder must have `direction="apart"`, two LSTMs that know nothing of each other: all that
    they share is the token table, as ELMo's. Targets `next_token` as of `LeftToRight`, and
    `previous_token` (batch, sequence).
    """

    name = "two-directional"
    direction = "apart"

    def batch(self, rows, draws, progress=0.0):
        inputs, targets, weights = super().batch(rows, draws, progress)
        before, sequences = (_shifted_right(a) for a in (rows.token_ids, rows.padding_mask))
        is_counted = (sequences > 0) & (sequences == rows.padding_mask)
        is_counted &= self.masking.is_ordinary[before]
        return (
            inputs,
            targets | {"previous_token": np.where(is_counted, before, 0)},
            weights | {"previous_token": normalized(is_counted)},
        )


def _shifted_right(array: np.ndarray) -> np.ndarray:
    """What stands one position to the left; 0 at the beginning."""
    return np.pad(array[:, :-1], ((0, 0), (1, 0)))
