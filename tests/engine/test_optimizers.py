"""BertAdam and BertLamb against NumPy, AdamW and the papers; the schedule by hand."""

import math

import keras
import numpy as np
import pytest

from kbert.engine.optimizers import (
    BertAdam,
    BertLamb,
    SlantedTriangular,
    WarmupLinearDecay,
)

RNG = np.random.default_rng(0)
START = [RNG.normal(size=(3, 4)), RNG.normal(size=4)]  # a kernel and a bias
GRADIENTS = [[RNG.normal(size=w.shape) * 10.0**-k for w in START] for k in range(6)]


def run(optimizer, start=START, gradients=GRADIENTS):
    variables = [keras.Variable(w, dtype="float32") for w in start]
    for step in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(g, "float32") for g in step], variables)
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def adam_in_numpy(rate, decay, beta_1, beta_2, epsilon, bias_correction):
    """Algorithm 2 of arXiv 1711.05101, in float64; biases do not decay.

    Without the correction it is the optimizer that Google published with BERT.
    """
    weights = [w.copy() for w in START]
    means, squares = ([np.zeros_like(w) for w in START] for _ in range(2))
    for t, step in enumerate(GRADIENTS, start=1):
        for i, gradient in enumerate(step):
            means[i] = beta_1 * means[i] + (1 - beta_1) * gradient
            squares[i] = beta_2 * squares[i] + (1 - beta_2) * gradient**2
            mean = means[i] / (1 - beta_1**t) if bias_correction else means[i]
            square = squares[i] / (1 - beta_2**t) if bias_correction else squares[i]
            update = mean / (np.sqrt(square) + epsilon)
            if weights[i].ndim > 1:
                update += decay * weights[i]
            weights[i] = weights[i] - rate * update
    return weights


@pytest.mark.parametrize("bias_correction", [True, False])
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_equals_numpy(decay, bias_correction):
    values = {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3, "bias_correction": bias_correction}
    result = run(BertAdam(0.05, weight_decay=decay, **values))
    for ours, expected in zip(result, adam_in_numpy(0.05, decay, **values), strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-6)


def lamb_in_numpy(rate, decay, beta_1, beta_2, epsilon):
    """Algorithm 2 of arXiv 1904.00962, in float64; biases neither decay nor adapt."""
    weights = [w.copy() for w in START]
    means, squares = ([np.zeros_like(w) for w in START] for _ in range(2))
    for t, step in enumerate(GRADIENTS, start=1):
        for i, gradient in enumerate(step):
            means[i] = beta_1 * means[i] + (1 - beta_1) * gradient
            squares[i] = beta_2 * squares[i] + (1 - beta_2) * gradient**2
            mean, square = means[i] / (1 - beta_1**t), squares[i] / (1 - beta_2**t)
            update, ratio = mean / (np.sqrt(square) + epsilon), 1.0
            if weights[i].ndim > 1:
                update = update + decay * weights[i]
                ratio = np.linalg.norm(weights[i]) / np.linalg.norm(update)
            weights[i] = weights[i] - rate * ratio * update
    return weights


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_lamb_equals_numpy(decay):
    values = {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3}
    result = run(BertLamb(0.05, weight_decay=decay, **values))
    for ours, expected in zip(result, lamb_in_numpy(0.05, decay, **values), strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_lamb_moves_a_weight_of_zeros_and_leaves_one_without_a_gradient():
    start, none = [np.zeros((2, 2)), np.ones((2, 2))], np.zeros((2, 2))
    moved, left = run(BertLamb(0.1, weight_decay=0.0), start, [[np.ones((2, 2)), none]])
    np.testing.assert_allclose(moved, -0.1, rtol=1e-4)
    np.testing.assert_array_equal(left, 1)


def test_equals_keras_adamw():
    """With a vanishing epsilon, which Keras adds at another place."""
    theirs = keras.optimizers.AdamW(0.05, weight_decay=0.3, beta_1=0.9, beta_2=0.999, epsilon=1e-12)
    theirs.exclude_from_weight_decay(var_names=["bias"])
    variables = [
        keras.Variable(w, dtype="float32", name=name)
        for w, name in zip(START, ("kernel", "bias"), strict=True)
    ]
    for step in GRADIENTS:
        theirs.apply([keras.ops.convert_to_tensor(g, "float32") for g in step], variables)
    result = run(BertAdam(0.05, weight_decay=0.3, epsilon=1e-12))
    for ours, variable in zip(result, variables, strict=True):
        np.testing.assert_allclose(ours, keras.ops.convert_to_numpy(variable), atol=1e-5)


def test_first_steps_with_and_without_correction():
    """By hand, gradient 1: corrected the step is the rate; BERT's own is 0.1 / sqrt(0.001)."""
    ones = [[np.ones((1, 1))]]
    start = [np.zeros((1, 1))]
    corrected = run(BertAdam(0.01, weight_decay=0.0), start, ones)
    np.testing.assert_allclose(corrected[0], -0.01, rtol=1e-4)
    original = run(BertAdam(0.01, weight_decay=0.0, bias_correction=False), start, ones)
    np.testing.assert_allclose(original[0], -0.01 * 0.1 / np.sqrt(0.001), rtol=1e-3)


def test_decay_skips_weights_of_one_dimension():
    zeros = [[np.zeros((2, 2)), np.zeros(2)]] * 3
    kernel, bias = run(BertAdam(0.1, weight_decay=0.5), [np.ones((2, 2)), np.ones(2)], zeros)
    np.testing.assert_allclose(kernel, 0.95**3, rtol=1e-6)
    np.testing.assert_array_equal(bias, 1)


def test_the_rate_follows_the_schedule():
    schedule = WarmupLinearDecay(1.0, 2, 4)
    ones = [[np.ones((1, 1))]] * 4
    result = run(BertAdam(schedule, weight_decay=0.0), [np.zeros((1, 1))], ones)
    # Equal gradients: every corrected step is the rate: 1/2, 1, 2/3, 1/3.
    np.testing.assert_allclose(result[0], -(1 / 2 + 1 + 2 / 3 + 1 / 3), rtol=1e-5)


def test_schedule_by_hand():
    schedule = WarmupLinearDecay(peak=2.0, warmup_steps=4, total_steps=10)
    rates = [float(schedule(step)) for step in range(12)]
    expected = [0.5, 1.0, 1.5, 2.0, *(2 * n / 7 for n in (6, 5, 4, 3, 2, 1)), 0.0, 0.0]
    np.testing.assert_allclose(rates, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("warmup", "total", "expected"),
    [(0, 2, [2 / 3, 1 / 3]), (1, 2, [1, 0.5]), (2, 2, [0.5, 1]), (8, 2, [1 / 8, 2 / 8])],
)
def test_schedule_at_its_edges(warmup, total, expected):
    schedule = WarmupLinearDecay(1.0, warmup, total)
    np.testing.assert_allclose([float(schedule(s)) for s in range(2)], expected, atol=1e-6)


def test_both_come_back_from_their_config():
    optimizer = BertAdam(
        WarmupLinearDecay(0.1, 2, 9),
        weight_decay=0.2,
        beta_2=0.98,
        bias_correction=False,
        rate_factors={"block_0/kernel": 0.5},
        first_steps={"block_0/kernel": 3},
    )
    copy = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert copy.get_config() == optimizer.get_config()
    for ours, theirs in zip(run(optimizer), run(copy), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_slanted_triangular_is_the_papers_equation():
    """Equation 3 of arXiv 1801.06146 with its own constants, cut_frac 0.1 and ratio 32."""
    total, cut_frac, ratio, highest = 200, 0.1, 32, 0.01
    schedule = SlantedTriangular(highest, round(cut_frac * total), total)
    cut = math.floor(total * cut_frac)
    for t in range(total):
        p = t / cut if t < cut else 1 - (t - cut) / (cut * (1 / cut_frac - 1))
        expected = highest * (1 + p * (ratio - 1)) / ratio
        assert float(schedule(t)) == pytest.approx(expected, rel=1e-5)
    assert float(schedule(cut)) == pytest.approx(highest)
    again = SlantedTriangular.from_config(schedule.get_config())
    assert float(again(7)) == float(schedule(7))
