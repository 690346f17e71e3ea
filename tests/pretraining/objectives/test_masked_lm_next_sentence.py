"""The pre-training loss against SciPy; unused slots and parts of a batch."""

import keras
import numpy as np
import pytest
from scipy.special import log_softmax

from kbert.layers.losses import weighted_cross_entropy
from kbert.pretraining.objectives.masked_lm_next_sentence import MaskedLMNextSentence

RNG = np.random.default_rng(0)


def batch(rows=4, slots=5, vocabulary=11):
    outputs = {
        "masked_lm": RNG.normal(size=(rows, slots, vocabulary)).astype("float32"),
        "next_sentence": RNG.normal(size=(rows, 2, 2)).astype("float32"),
    }
    targets = {
        "masked_lm": RNG.integers(0, vocabulary, (rows, slots)),
        "next_sentence": RNG.integers(0, 2, (rows, 2)),
    }
    weights = {
        "masked_lm": (RNG.random((rows, slots)) < 0.7).astype("float32"),
        "next_sentence": np.ones((rows, 2), "float32"),
    }
    return outputs, targets, {name: w / w.sum() for name, w in weights.items()}


def sums_of(outputs, targets, weights):
    tensors = {name: keras.ops.convert_to_tensor(x) for name, x in outputs.items()}
    return {
        name: float(x) for name, x in MaskedLMNextSentence.sums(tensors, targets, weights).items()
    }


def test_equals_scipy():
    outputs, targets, weights = batch()
    sums = sums_of(outputs, targets, weights)
    total = 0
    for name, logits in outputs.items():
        logs = log_softmax(logits.astype("float64"), axis=-1)
        right = np.take_along_axis(logs, targets[name][..., None], -1)[..., 0]
        used = weights[name] > 0
        assert sums[f"{name}_loss"] == pytest.approx(-right[used].mean(), abs=1e-5)
        hits = logits.argmax(-1) == targets[name]
        assert sums[f"{name}_accuracy"] == pytest.approx(hits[used].mean(), abs=1e-6)
        total += sums[f"{name}_loss"]
    assert sums["loss"] == pytest.approx(total, abs=1e-5)
    assert set(sums) == {
        "loss",
        "masked_lm_loss",
        "masked_lm_accuracy",
        "next_sentence_loss",
        "next_sentence_accuracy",
    }


def test_unused_slots_count_for_nothing():
    """More slots with weight 0, whatever stands in them, leave every sum as it was."""
    outputs, targets, weights = batch()
    before = sums_of(outputs, targets, weights)
    outputs["masked_lm"] = np.pad(outputs["masked_lm"], ((0, 0), (0, 3), (0, 0)), constant_values=9)
    targets["masked_lm"] = np.pad(targets["masked_lm"], ((0, 0), (0, 3)))
    weights["masked_lm"] = np.pad(weights["masked_lm"], ((0, 0), (0, 3)))
    assert sums_of(outputs, targets, weights) == pytest.approx(before, abs=1e-6)


def test_parts_add_up_to_the_whole():
    """Rows 0-2 and row 3 hold different numbers of predictions; their sums simply add."""
    whole = batch()
    parts = [
        sums_of(*({name: x[rows] for name, x in part.items()} for part in whole))
        for rows in (slice(0, 3), slice(3, 4))
    ]
    total = {name: parts[0][name] + parts[1][name] for name in parts[0]}
    assert total == pytest.approx(sums_of(*whole), abs=1e-6)


def test_large_logits_overflow_nothing():
    logits = keras.ops.convert_to_tensor(np.array([[1e4, -1e4, 0.0]], "float32"))
    for target, expected in ((0, 0.0), (1, 2e4)):
        loss, _ = weighted_cross_entropy(logits, np.array([target]), np.ones(1, "float32"))
        assert float(loss) == pytest.approx(expected)


def test_a_uniform_guess_costs_the_logarithm_of_the_vocabulary():
    loss, _ = weighted_cross_entropy(keras.ops.zeros((1, 8)), np.array([3]), np.ones(1, "float32"))
    assert float(loss) == pytest.approx(np.log(8), abs=1e-6)
