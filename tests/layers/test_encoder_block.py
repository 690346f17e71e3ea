"""TransformerEncoderBlock: post-norm residuals, four activations, other variants."""

import numpy as np
import pytest

from kbert.config import ACTIVATIONS, BertConfig
from kbert.layers.encoder_block import TransformerEncoderBlock
from tests import reference_bert
from tests.layers.contract import check_layer, numpy

MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 2, 2, 0], [0, 0, 0, 0, 0]], "int32")


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(3, 5, 8)).astype("float32")


def block(activation="gelu_tanh", epsilon=1e-12, **variant):
    return TransformerEncoderBlock(
        num_heads=2,
        intermediate_dim=16,
        dropout=0.0,
        attention_dropout=0.0,
        activation=activation,
        layer_norm_epsilon=epsilon,
        name="block_0",
        **variant,
    )


def test_contract(x, precision):
    check_layer(block(), x, MASK, precision=precision)


@pytest.mark.parametrize(
    "variant",
    [
        {"activation": "geglu", "norm_placement": "wb", "attention_score": "additive"},
        {"norm_placement": "na", "attention_score": "multiplicative", "direction": "left"},
    ],
)
def test_contract_of_variants(x, precision, variant):
    check_layer(block(**variant), x, MASK, precision=precision)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("epsilon", [1e-12, 0.1])
def test_equals_reference(x, activation, epsilon):
    config = BertConfig(
        10,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=16,
        activation=activation,
        layer_norm_epsilon=epsilon,
    )
    layer = block(activation, epsilon)
    layer.build(x.shape)
    weights = reference_bert.randomized(layer)
    result, scores = layer(x, MASK, return_attention_scores=True)
    for row in range(len(x)):
        expected, probabilities = reference_bert.block(
            weights, config, "block_0/", x[row].astype("float64"), MASK[row]
        )
        np.testing.assert_allclose(numpy(result)[row], expected, atol=1e-5)
        np.testing.assert_allclose(numpy(scores)[row], probabilities, atol=1e-5)


def test_the_activations_differ(x):
    results = []
    for activation in ACTIVATIONS:
        layer = block(activation)
        layer.build(x.shape)
        reference_bert.randomized(layer)
        results.append(numpy(layer(x)))
    assert 1e-5 < np.abs(results[0] - results[1]).max() < 0.01  # the two forms of GELU
    assert np.abs(results[0] - results[2]).max() > 0.01


def test_order_of_tokens_does_not_matter(x):
    """Attention knows no order: that is the position table's."""
    layer = block()
    layer.build(x.shape)
    reference_bert.randomized(layer)
    order = [3, 0, 4, 1, 2]
    np.testing.assert_allclose(numpy(layer(x[:, order])), numpy(layer(x))[:, order], atol=1e-5)


def test_dropout_acts_in_training_only(x):
    layer = TransformerEncoderBlock(2, 16, dropout=0.5, attention_dropout=0.0)
    np.testing.assert_array_equal(numpy(layer(x)), numpy(layer(x, training=False)))
    assert not np.allclose(numpy(layer(x, training=True)), numpy(layer(x)))


@pytest.mark.parametrize("rematerialize", [False, True])
@pytest.mark.parametrize("norm_placement", ["aa", "bb", "wn"])
def test_some_positions_are_those_of_all(x, norm_placement, rematerialize):
    """In training too; a position may be asked for twice."""
    layer = block(norm_placement=norm_placement, rematerialize=rematerialize)
    positions = np.array([[4, 0], [1, 1], [2, 3]], "int32")
    for training in (False, True):
        every = numpy(layer(x, MASK, training=training))
        some = numpy(layer(x, MASK, training=training, positions=positions))
        expected = np.take_along_axis(every, positions[..., None], axis=1)
        np.testing.assert_allclose(some, expected, atol=1e-6)
