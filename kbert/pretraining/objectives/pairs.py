"""What the objectives on pairs of texts share: masked LM, and a class of each pair."""

from typing import ClassVar

import numpy as np

from kbert.pretraining.objectives.base import Objective, normalized


class MaskedLMOfPairs(Objective):
    """Predicts the hidden tokens of a row, and the label of each pair at its [CLS].

    Attributes:
        sentence_head: the head that says the label.
    """

    sentence_head: ClassVar[str]

    def batch(self, rows, draws, progress=0.0):
        masked = self._masked(rows, draws, progress)
        inputs = {
            "token_ids": masked.token_ids,
            "segment_ids": rows.segment_ids,
            "padding_mask": rows.padding_mask,
            "mask_positions": masked.positions,
            "cls_positions": rows.cls_positions,
        }
        targets = {"masked_lm": masked.targets, self.sentence_head: np.maximum(rows.labels, 0)}
        weights = {
            "masked_lm": normalized(masked.weights),
            self.sentence_head: normalized(rows.labels >= 0),
        }
        return inputs, targets, weights
