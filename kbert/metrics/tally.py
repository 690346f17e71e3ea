"""Scores that depend on their rows through sums alone, as accuracy and F1 do."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np


class Tally(NamedTuple):
    """What is counted in each row, and the score of the sums.

    Attributes:
        counts: (rows, counts).
        score: sums over rows, (counts,) -> the score of those rows.
    """

    counts: np.ndarray
    score: Callable[[np.ndarray], float]


def mean_of(values: Sequence[float]) -> Tally:
    """A score that is the mean over its rows: of whether each is right, the accuracy."""
    each = np.array(values, float)
    return Tally(np.stack([each, np.ones_like(each)], 1), lambda sums: sums[0] / sums[1])
