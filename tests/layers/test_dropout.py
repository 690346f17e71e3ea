"""Dropout: its rate, its scale, its independence of place and call."""

import itertools

import keras
import numpy as np
import pytest

from kbert.layers.dropout import Dropout


def dropped(rate, shape, seed=0):
    keras.utils.set_random_seed(seed)
    return keras.ops.convert_to_numpy(Dropout(rate)(np.ones(shape, "float32"), training=True))


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_drops_its_share_and_keeps_the_mean(rate):
    values = dropped(rate, (400, 501))
    share, sigma = (values == 0).mean(), np.sqrt(rate * (1 - rate) / values.size)
    assert abs(share - rate) < 5 * sigma
    np.testing.assert_allclose(values[values > 0], 1 / (1 - rate), rtol=1e-4)


def pairs(kept):
    """What could depend on each other: neighbours, the ends of a row, halves, distant rows."""
    half = kept.shape[0] // 2
    yield kept[:, 1:], kept[:, :-1]
    yield kept[:, 2:], kept[:, :-2]
    yield kept[1:], kept[:-1]
    yield kept[1:, :-1], kept[:-1, 1:]
    yield kept[:, :1], kept[:, -1:]
    yield kept[:half], kept[half : 2 * half]


@pytest.mark.parametrize("rate", [0.1, 0.5])
@pytest.mark.parametrize("shape", [(2000, 128), (16, 2, 64, 64), (50_000, 3)])
def test_values_are_independent_of_each_other(rate, shape):
    kept = (dropped(rate, shape) > 0).reshape(-1, shape[-1])
    for one, other in pairs(kept):
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 5 / np.sqrt(one.size)
    for axis in (0, 1):
        counts = kept.sum(axis=axis)
        n = kept.shape[axis]
        # As binomial counts are spread, neither more nor less.
        spread = counts.var() / (n * rate * (1 - rate))
        assert abs(spread - 1) < 6 * np.sqrt(2 / len(counts))


def test_the_halves_of_rows_are_independent():
    kept = dropped(0.5, (2000, 100)) > 0
    first, second = kept[:, :50].ravel(), kept[:, 50:].ravel()
    assert abs(np.corrcoef(first, second)[0, 1]) < 5 / np.sqrt(len(first))
    for half in (first, second):
        assert abs(half.mean() - 0.5) < 5 * 0.5 / np.sqrt(len(half))


def test_calls_are_independent_of_each_other():
    """Ten generators with numbers in sequence, ten draws of each: each mask beside each other."""
    ones = np.ones((64, 48), "float32")
    layer = Dropout(0.5)
    masks = []
    for generator, draw in itertools.product(range(10), range(10)):
        layer.seed_generator.state.assign([generator, draw])
        masks.append(keras.ops.convert_to_numpy(layer(ones, training=True)).ravel() > 0)
    correlations = np.corrcoef(masks)[np.triu_indices(100, 1)]
    assert np.abs(correlations).max() < 5.5 / np.sqrt(ones.size)
    assert correlations.std() == pytest.approx(1 / np.sqrt(ones.size), rel=0.05)


def test_no_two_rows_are_dropped_alike():
    kept = dropped(0.5, (4000, 64)) > 0
    assert len(np.unique(kept, axis=0)) == len(kept)


def test_other_calls_drop_others_and_the_seed_repeats():
    np.testing.assert_array_equal(dropped(0.5, (8, 8)), dropped(0.5, (8, 8)))
    assert (dropped(0.5, (8, 8)) != dropped(0.5, (8, 8), seed=1)).any()


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_the_ends(rate):
    np.testing.assert_array_equal(dropped(rate, (2, 3)), 1 - rate)


def test_acts_in_training_only_and_keeps_the_type():
    x = keras.ops.ones((2, 3), "bfloat16")
    layer = Dropout(0.5, dtype="bfloat16")
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(layer(x)).astype("float32"), 1)
    assert keras.backend.standardize_dtype(layer(x, training=True).dtype) == "bfloat16"
