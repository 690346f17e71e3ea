"""TokenDense: Keras's Dense, in one product."""

import keras
import numpy as np
import pytest

from kbert.layers.activation import Gelu
from kbert.layers.token_dense import TokenDense
from tests.layers.contract import check_layer, gradients, numpy

X = np.random.default_rng(0).normal(size=(3, 5, 8)).astype("float32")


@pytest.mark.parametrize("activation", ["gelu", Gelu(approximate=True)])
def test_contract(activation, precision):
    check_layer(TokenDense(6, activation=activation), X, precision=precision)


@pytest.mark.parametrize("use_bias", [True, False])
def test_the_same_numbers_as_dense(use_bias):
    ours, reference = (
        layer(6, activation="relu", use_bias=use_bias) for layer in (TokenDense, keras.layers.Dense)
    )
    ours.build(X.shape), reference.build(X.shape)
    ours.set_weights(reference.get_weights())
    np.testing.assert_allclose(numpy(ours(X)), numpy(reference(X)), rtol=1e-6, atol=1e-6)


def test_the_same_gradients_as_dense():
    upstream = np.random.default_rng(1).normal(size=(3, 5, 6)).astype("float32")
    ours, reference = TokenDense(6, activation="tanh"), keras.layers.Dense(6, activation="tanh")
    ours.build(X.shape), reference.build(X.shape)
    ours.set_weights(reference.get_weights())
    expected = gradients(reference, X, upstream)
    found = gradients(ours, X, upstream)
    assert found.keys() == expected.keys() == {"kernel", "bias"}
    for name, gradient in expected.items():
        np.testing.assert_allclose(found[name], gradient, rtol=1e-5, atol=1e-5)
