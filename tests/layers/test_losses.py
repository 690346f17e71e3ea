"""The cross-entropy with label smoothing, against its formula in NumPy."""

import keras
import numpy as np
import pytest

from kbert.layers import IMPOSSIBLE
from kbert.layers.losses import is_right, weighted_cross_entropy
from tests.layers.contract import gradients
from tests.layers.test_kernels import Applied

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


def accuracy_of(logits, targets):
    weights = np.full(len(targets), 1 / len(targets), "float32")
    logits = keras.ops.convert_to_tensor(np.asarray(logits, "float32"))
    return float(weighted_cross_entropy(logits, np.array(targets), weights)[1])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("targets", [[0, 0, 0], [0, 1, 2], [3, 3, 3]])
def test_who_says_the_same_of_all_classes_is_never_right(targets, dtype):
    logits = keras.ops.full((3, 4), 2.5, dtype)
    assert accuracy_of(keras.ops.convert_to_numpy(logits).astype("float32"), targets) == 0
    assert not keras.ops.convert_to_numpy(is_right(logits, np.array(targets))).any()


def test_a_tie_is_not_right_and_a_lead_is():
    logits = [[1, 1, 0], [1, 1, 0], [1, 1, 0], [2, 1, 1], [np.nan, np.nan, 0]]
    assert accuracy_of(logits, [0, 1, 2, 0, 0]) == pytest.approx(1 / 5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_row_without_classes_changes_neither_loss_nor_gradient(smoothing):
    """What fills up the last batch of an epoch: all classes impossible, and no weight."""
    filled = np.concatenate([LOGITS, np.full((2, 4), IMPOSSIBLE, "float32")])
    targets, weights = np.append(TARGETS, [0, 0]), np.append(WEIGHTS, np.zeros(2, "float32"))
    assert loss_of(filled, smoothing, targets, weights) == pytest.approx(
        loss_of(LOGITS, smoothing), 1e-6
    )
    layer = Applied(lambda x: weighted_cross_entropy(x, targets, weights, smoothing)[0], [filled])
    found = gradients(layer, np.zeros((1, 1)), np.ones((), "float32"))["0"]
    alone = Applied(lambda x: weighted_cross_entropy(x, TARGETS, WEIGHTS, smoothing)[0], [LOGITS])
    expected = gradients(alone, np.zeros((1, 1)), np.ones((), "float32"))["0"]
    np.testing.assert_allclose(found[:5], expected, atol=1e-6)
    assert not found[5:].any()
