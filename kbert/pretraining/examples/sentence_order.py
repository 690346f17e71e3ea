"""Sentence-order pairs (ALBERT, arXiv 1909.11942, section 3.1): two texts, half of them swapped."""

import numpy as np

from kbert.pretraining.examples.base import Examples, Spans
from kbert.pretraining.examples.cutting import aims, chunks, halves, trimmed_pair


class SentenceOrderPairs(Examples):
    """Two texts that follow each other; label 0 in their order, 1 swapped.

    A document of one token cannot be cut: its second text is empty, and it has no label.
    """

    is_pair = True
    num_draws = 7

    def draw(self, split, places, draws, *, max_tokens, short_probability):
        short, length, is_swapped, cut, split_point, trim_first, trim_second = draws.T
        target = aims(
            short, length, least=2, max_tokens=max_tokens, short_probability=short_probability
        )
        start, end, _ = chunks(split, places, target, least=2)
        first, second = halves(split, start, end, cut, split_point)
        first, second = trimmed_pair(first, second, max_tokens, trim_first, trim_second)
        is_swapped = (is_swapped < 0.5) & (second[0] < second[1])
        texts = [
            np.where(is_swapped, one, other)
            for one, other in zip(second + first, first + second, strict=True)
        ]
        label = np.where(second[0] < second[1], is_swapped, -1)
        return Spans(*texts, label.astype(np.int64))
