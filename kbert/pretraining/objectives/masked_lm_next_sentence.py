"""BERT's objective: masked LM plus next sentence (arXiv 1810.04805, section 3.1)."""

from kbert.pretraining.examples.next_sentence import NextSentencePairs
from kbert.pretraining.objectives.pairs import MaskedLMOfPairs


class MaskedLMNextSentence(MaskedLMOfPairs):
    """Predicts the hidden tokens of a row, and of each pair whether its second text follows.

    Targets `masked_lm` (batch, predictions), and `next_sentence` (batch, sequences a row): 1 where
    the second text is from elsewhere.
    """

    name = "masked-lm-next-sentence"
    examples = NextSentencePairs()
    sentence_head = "next_sentence"
