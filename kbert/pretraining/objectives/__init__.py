"""What pre-training minimises: one file an objective. `OBJECTIVES` names them."""

from kbert.pretraining.objectives.left_to_right import LeftToRight
from kbert.pretraining.objectives.masked_lm import MaskedLM
from kbert.pretraining.objectives.masked_lm_next_sentence import MaskedLMNextSentence
from kbert.pretraining.objectives.masked_lm_sentence_order import MaskedLMSentenceOrder
from kbert.pretraining.objectives.two_directional import TwoDirectional

OBJECTIVES = {
    objective.name: objective
    for objective in (
        MaskedLMNextSentence,
        MaskedLM,
        MaskedLMSentenceOrder,
        LeftToRight,
        TwoDirectional,
    )
}
