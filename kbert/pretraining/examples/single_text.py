"""Single texts: stretches of one document (RoBERTa's DOC-SENTENCES, arXiv 1907.11692)."""

import numpy as np

from kbert.pretraining.examples.base import Examples, Spans
from kbert.pretraining.examples.cutting import aims, chunks, trimmed


class SingleTexts(Examples):
    """One text of sentences that follow each other, never across the end of a document."""

    is_pair = False
    num_draws = 3

    def draw(self, split, places, draws, *, max_tokens, short_probability):
        short, length, trim = draws.T
        target = aims(
            short, length, least=1, max_tokens=max_tokens, short_probability=short_probability
        )
        return self._texts(split, places, target, trim, max_tokens)

    def _texts(self, split, places, target, trim, max_tokens):
        """Whole sentences of about `target` tokens, cut to `max_tokens`."""
        start, end, _ = chunks(split, places, target, least=1)
        text = [split.sentences[start], split.sentences[end]]
        start, end = trimmed(text, np.minimum(text[1] - text[0], max_tokens), trim)
        return Spans(start, end, end, end, np.full(len(start), -1))
