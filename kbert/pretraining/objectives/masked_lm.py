"""Masked LM alone, on single texts (RoBERTa, arXiv 1907.11692, section 4.2)."""

from kbert.pretraining.examples.single_text import SingleTexts
from kbert.pretraining.objectives.base import Objective, normalized


class MaskedLM(Objective):
    """Predicts the hidden tokens of a row. Targets `masked_lm` (batch, predictions)."""

    name = "masked-lm"
    examples = SingleTexts()

    def batch(self, rows, draws, progress=0.0):
        masked = self._masked(rows, draws, progress)
        inputs = {
            "token_ids": masked.token_ids,
            "segment_ids": rows.segment_ids,
            "padding_mask": rows.padding_mask,
            "mask_positions": masked.positions,
        }
        return inputs, {"masked_lm": masked.targets}, {"masked_lm": normalized(masked.weights)}
