"""Masking of rare words (the frequency weighting of arXiv 2302.14225)."""

from collections.abc import Sequence

import numpy as np

from kbert.corpus.store import TokenStore
from kbert.pretraining.masking.whole_word import WholeWordMasking

_EXPONENT = 0.5
_FEWEST = 10  # what is rarer counts as if it were seen so often
_CHUNK = 1 << 24  # tokens counted at once


class LowFrequencyMasking(WholeWordMasking):
    """Chooses whole words, rare ones sooner: the next word is one of weight
    max(count, 10)^(-1/2) with a probability in proportion to that weight.

    The count of a word is that of its rarest piece in the training text.

    Args:
        counts: how often the text has each piece, (vocabulary,).
        others: as `WholeWordMasking`.
    """

    name = "low-frequency"

    def __init__(self, vocabulary: Sequence[str], counts: np.ndarray, *args, **options):
        super().__init__(vocabulary, *args, **options)
        self.weights = np.maximum(counts, _FEWEST).astype(float) ** -_EXPONENT

    @classmethod
    def of(cls, store: TokenStore, **options):
        tokens, counts = store["train"].tokens, np.zeros(len(store.vocabulary), np.int64)
        for start in range(0, len(tokens), _CHUNK):
            counts += np.bincount(tokens[start : start + _CHUNK], minlength=len(counts))
        return super().of(store, counts=counts, **options)

    def _keys(self, token_ids, units, draws):
        weight = np.full(token_ids.shape, self.weights.min())
        rows = np.arange(len(token_ids))[:, None]
        np.maximum.at(weight, (rows, units.first), self.weights[token_ids])
        # The order of exponential times with these rates is that of drawing one after another
        # without putting back (Efraimidis and Spirakis 2006).
        return -np.log1p(-draws) / weight
