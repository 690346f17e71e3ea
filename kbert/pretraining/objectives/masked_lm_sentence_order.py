"""ALBERT's objective: masked LM plus sentence order (arXiv 1909.11942, section 3.1)."""

from kbert.pretraining.examples.sentence_order import SentenceOrderPairs
from kbert.pretraining.objectives.pairs import MaskedLMOfPairs


class MaskedLMSentenceOrder(MaskedLMOfPairs):
    """Predicts the hidden tokens of a row, and of each pair whether its texts are swapped.

    Targets `masked_lm` (batch, predictions), and `sentence_order` (batch, sequences a row): 1 where
    the text that stands first follows the other.
    """

    name = "masked-lm-sentence-order"
    examples = SentenceOrderPairs()
    sentence_head = "sentence_order"
