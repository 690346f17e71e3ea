"""Entity masking (ERNIE, arXiv 1904.09223, section 3.2): a name is chosen as a whole."""

import numpy as np

from kbert.corpus.marks import ENTITY_BEGINS
from kbert.pretraining.masking.whole_word import WholeWordMasking


class EntityMasking(WholeWordMasking):
    """Chooses entities and other words in a random order, each as likely, an entity as a whole.

    Where entities are the store says (`kbert prepare --entities`). Arguments: as
    `WholeWordMasking`.
    """

    name = "entity"

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.marks = (*self.marks, "entities")

    def _begins(self, token_ids, marks):
        entities = marks["entities"]
        behind = np.pad(entities[:, :-1] > 0, ((0, 0), (1, 0)))
        outside = super()._begins(token_ids, marks) | behind
        return np.where(entities == 0, outside, entities == ENTITY_BEGINS)
