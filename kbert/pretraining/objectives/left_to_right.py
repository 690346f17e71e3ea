"""Left-to-right language model (Table 5 of arXiv 1810.04805: "LTR & No NSP")."""

import numpy as np

from kbert.pretraining.examples.single_text import SingleTexts
from kbert.pretraining.objectives.base import Objective, normalized


class LeftToRight(Objective):
    """Predicts every piece of a text from what stands before it, the first from [CLS].

    Nothing is hidden; the encoder must have `direction="left"`. [SEP] is no target, because texts
    are cut anywhere, nor is [UNK]. Targets `next_token` (batch, sequence).
    """

    name = "left-to-right"
    examples = SingleTexts()
    hides = False
    direction = "left"
    marks = ()

    def num_draws(self, sequence_length):
        return 0

    def batch(self, rows, draws, progress=0.0):
        targets, sequences = (_shifted(a) for a in (rows.token_ids, rows.padding_mask))
        is_counted = (sequences > 0) & (sequences == rows.padding_mask)
        is_counted &= self.masking.is_ordinary[targets]
        inputs = {
            "token_ids": rows.token_ids,
            "segment_ids": rows.segment_ids,
            "padding_mask": rows.padding_mask,
        }
        return (
            inputs,
            {"next_token": np.where(is_counted, targets, 0)},
            {"next_token": normalized(is_counted)},
        )


def _shifted(array: np.ndarray) -> np.ndarray:
    """What stands one position to the right; 0 at the end."""
    return np.pad(array[:, 1:], ((0, 0), (0, 1)))
