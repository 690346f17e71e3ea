"""BERT's masking: each token is as likely to be chosen as any other."""

import numpy as np

from kbert.pretraining.masking.base import Choice, Masking


class TokenMasking(Masking):
    """Chooses pieces one by one, whatever words they belong to. Arguments: as `Masking`."""

    name = "token"

    def _choose(self, token_ids, candidates, draws, wanted, marks):
        batch, sequence = token_ids.shape
        slots = np.arange(self.max_predictions(sequence))
        # The first candidates of a random order; what is no candidate comes last.
        chosen = np.argsort(np.where(candidates, draws, 2.0), axis=1)[:, : len(slots)]
        used = slots < wanted[:, None]
        positions = np.sort(np.where(used, chosen, sequence), axis=1)
        leader = np.broadcast_to(slots, (batch, len(slots)))
        return Choice(np.where(used, positions, 0), used, leader)
