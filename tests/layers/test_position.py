"""Positions in packed rows, waves, turned queries and keys, vectors added at every layer."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbert.layers.position import PositionEmbedding, positions, rotated, sinusoids
from tests import reference_bert
from tests.layers.contract import check_layer, numpy

MASK = np.array([[1, 1, 1, 2, 2, 0], [1, 1, 0, 0, 0, 0]], "int32")
PLACES = np.array([[0, 1, 2, 0, 1, 0], [0, 1, 0, 1, 2, 3]])
X = np.random.default_rng(0).normal(size=(2, 6, 8)).astype("float32")


@given(st.lists(st.lists(st.integers(0, 3), min_size=7, max_size=7), min_size=1, max_size=3))
def test_positions_count_each_number_from_zero(rows):
    result = numpy(positions(np.array(rows, "int32")))
    for row, mask in zip(result, rows, strict=True):
        for number in set(mask):
            places = [p for p, m in zip(row, mask, strict=True) if m == number]
            assert places == list(range(len(places)))


@pytest.mark.parametrize("hidden", [8, 7])
def test_sinusoids(hidden):
    expected = reference_bert.sinusoids(hidden, length=50)
    np.testing.assert_allclose(numpy(sinusoids(PLACES, hidden)), expected[PLACES], atol=1e-6)
    far = numpy(sinusoids(np.array([[49]]), hidden))
    np.testing.assert_allclose(far[0, 0], expected[49], atol=1e-5)


def test_rotation_by_hand():
    """At position 1 the first pair, (1, 0), turns by 1 radian, the second, (0, 1), by 1 / 100."""
    x = np.array([[[1, 0, 0, 1]] * 2], "float32")
    result = numpy(rotated(x, keras.ops.convert_to_tensor([[0, 1]])))
    np.testing.assert_allclose(result[0, 0], x[0, 0], atol=1e-6)
    expected = [np.cos(1), -np.sin(0.01), np.sin(1), np.cos(0.01)]
    np.testing.assert_allclose(result[0, 1], expected, atol=1e-6)


def test_it_is_the_papers_rotation_of_columns_in_another_order():
    """Equation 34 of arXiv 2104.09864 turns neighbours."""
    angles = np.arange(6)[:, None] * 10_000.0 ** (-2 * np.arange(4) / 8)
    even, odd = X[..., 0::2], X[..., 1::2]
    expected = np.empty_like(X)
    expected[..., 0::2] = even * np.cos(angles) - odd * np.sin(angles)
    expected[..., 1::2] = odd * np.cos(angles) + even * np.sin(angles)
    order = [0, 2, 4, 6, 1, 3, 5, 7]
    found = numpy(rotated(X[..., order], keras.ops.arange(6)[None]))
    np.testing.assert_allclose(found, expected[..., order], atol=1e-5)


def test_a_product_depends_on_the_distance():
    query, key = X[0, 0], X[1, 0]
    places = np.array([[0, 3, 40], [2, 5, 42]])
    both = np.stack([np.tile(query, (3, 1)), np.tile(key, (3, 1))])
    turned_query, turned_key = numpy(rotated(both, keras.ops.convert_to_tensor(places)))
    products = (turned_query * turned_key).sum(axis=-1)
    np.testing.assert_allclose(products, products[0], rtol=1e-4)
    assert abs(products[0] - query @ key) > 0.1


@pytest.mark.parametrize("kind", ["learned", "sinusoidal"])
def test_position_embedding(kind, precision):
    layer = PositionEmbedding(kind, max_sequence_length=6)
    check_layer(layer, X, MASK, precision=precision)
    table = layer.get_weights()[0] if kind == "learned" else reference_bert.sinusoids(8)
    np.testing.assert_allclose(numpy(layer(X, MASK)), X + table[PLACES], atol=1e-6)
