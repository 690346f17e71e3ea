"""The cross-entropy with label smoothing, against its formula in NumPy."""

import keras
import numpy as np
import pytest

from kbert.layers.losses import IMPOSSIBLE, weighted_cross_entropy

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(5, 4)).astype("float32") * 3
TARGETS = np.array([0, 3, 1, 1, 2])
WEIGHTS = RNG.uniform(size=5).astype("float32")


def loss_of(logits, smoothing, targets=TARGETS, weights=WEIGHTS):
    loss, _ = weighted_cross_entropy(
        keras.ops.convert_to_tensor(logits), targets, weights, smoothing
    )
    return float(loss)


def smoothed_in_numpy(logits, smoothing):
    """Section 7 of arXiv 1512.00567: the target is (1 - e) of the right class plus e / K of all."""
    logits = logits.astype("float64")
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    target = (1 - smoothing) * np.eye(logits.shape[-1])[TARGETS] + smoothing / logits.shape[-1]
    return -((target * np.log(probabilities)).sum(-1) * WEIGHTS).sum()


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_smoothing_equals_the_formula(smoothing):
    assert loss_of(LOGITS, smoothing) == pytest.approx(smoothed_in_numpy(LOGITS, smoothing), 1e-5)


def test_classes_that_a_row_lacks_get_no_share():
    padded = np.pad(LOGITS, ((0, 0), (0, 3)), constant_values=IMPOSSIBLE)
    assert loss_of(padded, 0.2) == pytest.approx(loss_of(LOGITS, 0.2), 1e-6)


def test_accuracy_does_not_know_of_smoothing():
    plain, smoothed = (
        float(weighted_cross_entropy(LOGITS, TARGETS, WEIGHTS, share)[1]) for share in (0.0, 0.3)
    )
    right = LOGITS.argmax(-1) == TARGETS
    assert plain == smoothed == pytest.approx((right * WEIGHTS).sum())
