"""Which tokens a masked LM predicts: one file a rule. `MASKINGS` names them."""

from kbert.pretraining.masking.entity import EntityMasking
from kbert.pretraining.masking.low_frequency import LowFrequencyMasking
from kbert.pretraining.masking.span import SpanMasking
from kbert.pretraining.masking.token import TokenMasking
from kbert.pretraining.masking.whole_word import WholeWordMasking

MASKINGS = {
    masking.name: masking
    for masking in (TokenMasking, WholeWordMasking, SpanMasking, LowFrequencyMasking, EntityMasking)
}
