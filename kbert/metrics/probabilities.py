"""How well probabilities fit what is right."""

from collections.abc import Sequence

import numpy as np


def log_loss(right: Sequence[float]) -> float:
    """The mean cross-entropy in nats, from the probabilities given to what is right.

    A probability may underflow to 0; the smallest float keeps its logarithm finite.
    """
    return float(-np.log(np.maximum(right, np.finfo("float64").tiny)).mean())
