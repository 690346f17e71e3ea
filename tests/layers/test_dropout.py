"""Dropout: its rate, its scale, its independence of position, odd lengths."""

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


def test_halves_of_a_random_number_are_independent():
    """A value in the first half of a row shares its number with one in the second."""
    kept = dropped(0.5, (2000, 100)) > 0
    first, second = kept[:, :50].ravel(), kept[:, 50:].ravel()
    assert abs(np.corrcoef(first, second)[0, 1]) < 5 / np.sqrt(len(first))
    for half in (first, second):
        assert abs(half.mean() - 0.5) < 5 * 0.5 / np.sqrt(len(half))


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
