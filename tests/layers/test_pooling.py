"""One vector for a text, and the learned sum of layers: by their equations."""

import keras
import numpy as np
import pytest

from kbert.layers.pooling import POOLING, AttentionPooling, WeightedSum, pool
from tests.layers.contract import check_layer, numpy

MASK = np.array([[1, 1, 1], [1, 1, 0], [0, 0, 0]], "int32")


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(3, 3, 4)).astype("float32")


def test_mean_and_max_of_the_tokens(x):
    for mode in ("mean", "max"):
        result = numpy(pool(x, MASK, mode))
        reduced = getattr(np, mode)
        np.testing.assert_allclose(result[0], reduced(x[0], axis=0), atol=1e-6)
        np.testing.assert_allclose(result[1], reduced(x[1, :2], axis=0), atol=1e-6)
        # A batch's empty rows: a huge number would become infinite in 16 bits.
        assert np.array_equal(result[2], np.zeros(4))


# By sentence-transformers' definitions, of the vectors (tokens, hidden) of one text.
DEFINITIONS = {
    "cls": lambda v: v[0],
    "max": lambda v: v.max(axis=0),
    "mean": lambda v: v.mean(axis=0),
    "mean_sqrt_length": lambda v: v.sum(axis=0) / np.sqrt(len(v)),
    "weighted_mean": lambda v: np.average(v, axis=0, weights=np.arange(len(v)) + 1),
    "last": lambda v: v[-1],
}


@pytest.mark.parametrize("mode", POOLING)
def test_every_mode_by_its_definition(x, mode):
    """Whatever stands in the padding, NaN too."""
    x[1, 2] = np.nan
    found = numpy(pool(x, MASK, mode))
    for row, length in enumerate(MASK.sum(axis=1)):
        if length:
            expected = DEFINITIONS[mode](x[row, :length])
            np.testing.assert_allclose(found[row], expected, atol=1e-6)
        elif mode != "cls":
            np.testing.assert_array_equal(found[row], np.zeros(4))
    with pytest.raises(ValueError, match="`mode` must be one of"):
        pool(x, MASK, "median")
    # In a functional model, too, where a comparison may be of symbols.
    inputs = [keras.Input((None, 4)), keras.Input((None,), dtype="int32")]
    model = keras.Model(inputs, pool(*inputs, mode))
    np.testing.assert_array_equal(numpy(model([x, MASK])), found)


@pytest.mark.parametrize("score", ["additive", "scaled_dot"])
def test_attention_contract(x, precision, score):
    check_layer(AttentionPooling(score), x, MASK, precision=precision)


def test_attention_with_a_learned_query(x):
    layer = AttentionPooling("scaled_dot")
    layer.build(x.shape)
    layer.set_weights([np.array([[1.0], [-2.0], [3.0], [0.5]])])
    shares = np.exp(x[1, :2] @ [1.0, -2.0, 3.0, 0.5] / 2)
    expected = shares / shares.sum() @ x[1, :2]
    np.testing.assert_allclose(numpy(layer(x, MASK))[1], expected, atol=1e-5)


def test_attention_of_another_score_is_refused():
    with pytest.raises(ValueError, match="additive or scaled_dot. Received: 'dot'"):
        AttentionPooling("dot")


def test_attention_by_its_equations(x):
    layer = AttentionPooling()
    layer(x, MASK)
    layer.set_weights([5 * weight for weight in layer.get_weights()])
    kernel, bias, context = layer.get_weights()
    result = numpy(layer(x, MASK))
    for row, length in enumerate([3, 2]):
        tokens = x[row, :length]
        attention = np.exp(np.tanh(tokens @ kernel + bias) @ context)
        expected = (attention / attention.sum() * tokens).sum(axis=0)
        np.testing.assert_allclose(result[row], expected, atol=1e-5)


def test_weighted_sum_contract(x, precision):
    check_layer(WeightedSum(2), x, precision=precision)


def test_weighted_sum_by_its_equation(x):
    layer = WeightedSum(2)
    np.testing.assert_allclose(numpy(layer(x)), (x[..., :2] + x[..., 2:]) / 2, atol=1e-6)
    layer.set_weights([np.log([1.0, 3.0]), np.array(2.0)])
    expected = 2 * (0.25 * x[..., :2] + 0.75 * x[..., 2:])
    np.testing.assert_allclose(numpy(layer(x)), expected, atol=1e-6)
    with pytest.raises(ValueError, match="multiple of `num_layers`. Received: width 4"):
        WeightedSum(3).build((None, None, 4))


def test_a_mode_that_is_none_is_refused(x):
    with pytest.raises(ValueError, match="must be one of"):
        pool(x, MASK, "median")
