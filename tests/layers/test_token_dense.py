"""TokenDense: Keras's Dense, in one product."""

import keras
import numpy as np

from kbert.layers.token_dense import TokenDense
from tests.layers.contract import check_layer, gradients, numpy

X = np.random.default_rng(0).normal(size=(3, 5, 8)).astype("float32")


def test_contract(precision):
    check_layer(TokenDense(6, activation="gelu"), X, precision=precision)


def test_the_same_numbers_as_dense():
    ours, reference = TokenDense(6, activation="relu"), keras.layers.Dense(6, activation="relu")
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
