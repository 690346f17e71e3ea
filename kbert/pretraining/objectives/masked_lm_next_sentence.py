"""BERT's objective: masked LM plus next sentence (arXiv 1810.04805, section 3.1)."""

from kbert.pretraining.masking.base import Masking
from kbert.pretraining.objectives.base import Objective


class MaskedLMNextSentence(Objective):
    """Predicts the hidden tokens of a row, and of each pair whether its second text follows.

    Targets `masked_lm` (batch, predictions), and `next_sentence` (batch, sequences a row): 1 where
    the second text is from elsewhere.
    """

    def __init__(self, masking: Masking):
        self.masking = masking

    def build_model(self, config, rematerialize=False):
        from kbert.models import build_pretraining_model

        return build_pretraining_model(config, rematerialize)

    def num_draws(self, sequence_length):
        return self.masking.num_draws(sequence_length)

    def batch(self, rows, draws):
        # The tokens of a row are masked together, whichever pairs they belong to: so every row has
        # 15 % of them, and none too many for its slots.
        candidates = (rows.padding_mask > 0) & self.masking.is_ordinary[rows.token_ids]
        masked = self.masking(rows.token_ids, candidates, draws)
        inputs = {
            "token_ids": masked.token_ids,
            "segment_ids": rows.segment_ids,
            "padding_mask": rows.padding_mask,
            "mask_positions": masked.positions,
            "cls_positions": rows.cls_positions,
        }
        targets = {"masked_lm": masked.targets, "next_sentence": rows.is_random}
        weights = {
            "masked_lm": masked.weights / max(masked.weights.sum(), 1),
            "next_sentence": rows.is_used / rows.is_used.sum(),
        }
        return inputs, targets, weights
