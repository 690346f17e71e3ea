"""Whether a probability of 0.8 is right in 8 of 10 cases (arXiv 1706.04599)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

BINS = 10


class Reliability(NamedTuple):
    """Bins of equal width over [0, 1], those without an answer left out; arrays (bins,).

    Attributes:
        count: answers in the bin.
        confidence: their mean probability.
        accuracy: the share of them that is right.
    """

    count: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @property
    def expected_error(self) -> float:
        """The expected calibration error: the mean of |accuracy - confidence| over the answers."""
        gap = np.abs(self.accuracy - self.confidence)
        return float((gap * self.count).sum() / self.count.sum())


def reliability(
    confidence: Sequence[float], is_right: Sequence[bool], bins: int = BINS
) -> Reliability:
    """How often answers are right, by the probability that they were given.

    Args:
        confidence: of each answer, 0 to 1.
        is_right: whether it is.
        bins: a probability on an edge belongs to the bin below, 0 to the first.

    Raises `ValueError` without an answer.
    """
    confidence, is_right = np.asarray(confidence, "float64"), np.asarray(is_right, bool)
    if not confidence.size:
        raise ValueError("`confidence` must hold an answer at least.")
    edges = np.linspace(0, 1, bins + 1)[1:-1]
    number = np.searchsorted(edges, confidence, side="left")
    count = np.bincount(number, minlength=bins)
    sums = (np.bincount(number, values, minlength=bins) for values in (confidence, is_right))
    filled = count > 0
    return Reliability(count[filled], *(total[filled] / count[filled] for total in sums))
