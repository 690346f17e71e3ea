"""Probabilities in double precision, and how well they fit what is right."""

from collections.abc import Sequence

import numpy as np


def softmax(logits: Sequence[float]) -> np.ndarray:
    """The probabilities of the last axis; float64, of the logits' shape."""
    logits = np.asarray(logits, "float64")
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def log_loss(right: Sequence[float]) -> float:
    """The mean cross-entropy in nats, from the probabilities given to what is right.

    A probability may underflow to 0; the smallest float keeps its logarithm finite.
    """
    return float(-np.log(np.maximum(right, np.finfo("float64").tiny)).mean())
