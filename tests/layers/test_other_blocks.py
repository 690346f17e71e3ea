"""LSTM, convolution and bag blocks: Keras's own layers, and what every layer promises."""

import keras
import numpy as np
import pytest

from kbert.layers.other_blocks import BagBlock, BiLSTMBlock, ConvolutionBlock
from tests.layers.contract import check_layer, numpy
from tests.reference_bert import randomized

MASK = np.array([[1, 1, 1, 2, 2, 0], [1, 1, 1, 1, 1, 1]], "int32")
X = np.random.default_rng(0).normal(size=(2, 6, 8)).astype("float32")


@pytest.mark.parametrize("block", [BiLSTMBlock, ConvolutionBlock, BagBlock])
@pytest.mark.parametrize("direction", ["both", "left"])
def test_contract(block, direction, precision):
    check_layer(block(direction, dropout=0.0), X, MASK, precision=precision)


@pytest.mark.parametrize(("direction", "padding"), [("both", "same"), ("left", "causal")])
def test_the_convolution_is_keras_own(direction, padding):
    block = ConvolutionBlock(direction, dropout=0.0, name="block")
    block.build(X.shape)
    weights = randomized(block)
    theirs = keras.layers.Conv1D(8, 3, padding=padding, activation="relu")
    theirs.build(X.shape)
    theirs.kernel.assign(weights["block/dense/kernel"].reshape(3, 8, 8))
    theirs.bias.assign(weights["block/dense/bias"])
    whole = np.ones_like(MASK)
    expected = numpy(block.norm(X + theirs(X)))
    np.testing.assert_allclose(numpy(block(X, whole)), expected, atol=1e-5)


@pytest.mark.parametrize("block", [BiLSTMBlock, ConvolutionBlock, BagBlock])
def test_dropout_acts_in_training_only(block):
    layer = block(dropout=0.5)
    np.testing.assert_array_equal(numpy(layer(X, MASK)), numpy(layer(X, MASK, training=False)))
    assert not np.allclose(numpy(layer(X, MASK, training=True)), numpy(layer(X, MASK)))
