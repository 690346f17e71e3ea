"""BERT's masking: each token is as likely to be chosen as any other."""

import numpy as np

from kbert.pretraining.masking.base import Masking


class TokenMasking(Masking):
    """Chooses pieces one by one, whatever words they belong to. Arguments: as `Masking`."""

    def _choose(self, token_ids, candidates, draws, slots):
        available = candidates.sum(axis=1)
        wanted = np.maximum(1, np.rint(available * self.rate)).astype(np.int64)
        count = np.minimum(np.minimum(wanted, available), slots)
        # The first `count` candidates of a random order; what is no candidate comes last.
        chosen = np.argsort(np.where(candidates, draws, 2.0), axis=1)[:, :slots]
        used = np.arange(slots) < count[:, None]
        positions = np.sort(np.where(used, chosen, token_ids.shape[1]), axis=1)
        return np.where(used, positions, 0), used
