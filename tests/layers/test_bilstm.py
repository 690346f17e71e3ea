"""BiLSTM: against Keras's Bidirectional with a mask, and the equations of an LSTM in NumPy."""

import keras
import numpy as np
import pytest

from kbert.layers.bilstm import LSTM, BiLSTM, LastStates
from tests.layers.contract import check_layer, numpy

MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]], "int32")


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(4, 5, 6)).astype("float32")


def test_contract(x, precision):
    check_layer(BiLSTM(3), x, MASK, precision=precision)


def test_equals_keras_bidirectional_with_a_mask(x):
    layer = BiLSTM(3, num_layers=1)
    states = numpy(layer(x, MASK))
    reference = keras.layers.Bidirectional(keras.layers.LSTM(3, return_sequences=True))
    reference.build(x.shape)
    weights = [weight for one in (layer.forward[0], layer.backward[0]) for weight in of_keras(one)]
    reference.set_weights(weights)
    expected = numpy(reference(x, mask=MASK > 0))
    np.testing.assert_allclose(states[MASK > 0], expected[MASK > 0], atol=1e-6)


def of_keras(layer):
    """In the order of Keras's LSTM."""
    kernel, bias, recurrent = layer.get_weights()
    return kernel, recurrent, bias


def test_begins_as_keras_does():
    """Biases alike, recurrent kernels orthogonal, kernels in Glorot's limits."""
    ours, theirs = LSTM(8), keras.layers.LSTM(8)
    for layer in (ours, theirs):
        layer.build((None, None, 6))
    (kernel, recurrent, bias), reference = of_keras(ours), theirs.get_weights()
    np.testing.assert_array_equal(bias, reference[2])
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(8), atol=1e-5)
    limit = (6 / (6 + 32)) ** 0.5
    assert 0.9 * limit < np.abs(kernel).max() <= limit


def lstm(weights, rows):
    """Hochreiter and Schmidhuber's cell with a forget gate, one token after another."""
    kernel, recurrent, bias = weights
    hidden, cell, states = 0.0, 0.0, []
    for row in rows:
        gates = row @ kernel + bias + (hidden @ recurrent if len(states) else 0.0)
        i, f, c, o = np.split(gates, 4)
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(c)
        hidden = sigmoid(o) * np.tanh(cell)
        states.append(hidden)
    return np.array(states)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_two_layers_and_their_last_states_by_the_equations(x):
    layer = BiLSTM(3)
    states = layer(x, MASK)
    last = numpy(LastStates()(states, MASK))
    for row, length in enumerate([5, 3, 1]):
        expected = x[row, :length]
        for forward, backward in zip(layer.forward, layer.backward, strict=True):
            behind = lstm(of_keras(backward), expected[::-1])[::-1]
            ahead = lstm(of_keras(forward), expected)
            expected = np.concatenate([ahead, behind], axis=-1)
        np.testing.assert_allclose(numpy(states)[row, :length], expected, atol=1e-5)
        np.testing.assert_allclose(last[row, :3], expected[-1, :3], atol=1e-5)
        np.testing.assert_allclose(last[row, 3:], expected[0, 3:], atol=1e-5)
    assert np.isfinite(last).all()  # of the row without tokens too
