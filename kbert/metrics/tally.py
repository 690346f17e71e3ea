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


def share_of(right: Sequence[bool]) -> Tally:
    """The share of rows that are right."""
    is_right = np.array(right, float)
    return Tally(np.stack([is_right, np.ones_like(is_right)], 1), lambda sums: sums[0] / sums[1])
