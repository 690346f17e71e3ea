"""Single sentences (BabyBERTa, 2021.conll-1.49, section 4.1)."""

import numpy as np

from kbert.pretraining.examples.single_text import SingleTexts


class SingleSentences(SingleTexts):
    """One sentence by itself, so that nothing but the sentence helps to predict its words."""

    num_draws = 1

    def draw(self, split, places, draws, *, max_tokens, short_probability):
        (trim,) = draws.T
        # The sentences that reach one token are the first one.
        return self._texts(split, places, np.ones(len(places), np.int64), trim, max_tokens)
