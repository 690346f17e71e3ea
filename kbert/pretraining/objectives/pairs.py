"""What the objectives on pairs of texts share: masked LM, and a class of each pair."""

from typing import ClassVar

import numpy as np

from kbert.pretraining.objectives.base import normalized
from kbert.pretraining.objectives.masked_lm import MaskedLM


class MaskedLMOfPairs(MaskedLM):
    """Predicts the hidden tokens of a row, and the label of each pair at its [CLS].

    Attributes:
        sentence_head: the head that says the label.
    """

    sentence_head: ClassVar[str]

    def batch(self, rows, draws, progress=0.0):
        inputs, targets, weights = super().batch(rows, draws, progress)
        head = self.sentence_head
        return (
            inputs | {"cls_positions": rows.cls_positions},
            targets | {head: np.maximum(rows.labels, 0)},
            weights | {head: normalized(rows.labels >= 0)},
        )
