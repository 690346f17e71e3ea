"""TokenDense is Keras's Dense in one product; activations and their gradients against the formulas
in float64; how weights begin, and the scope in which they begin at 0."""

import keras
import ml_dtypes  # noqa: F401  (NumPy's bfloat16)
import numpy as np
import pytest
from scipy import stats
from scipy.special import ndtr

from kbert import BertConfig, build_encoder
from kbert.layers.dense import ACTIVATIONS, Geglu, Gelu, TokenDense, blank_weights, initializer
from kbert.layers.heads import MaskedLMHead
from tests.layers.contract import check_layer, dtype_of, gradients, numpy

TOKENS = np.random.default_rng(0).normal(size=(3, 5, 8)).astype("float32")


@pytest.mark.parametrize("activation", ["gelu", Gelu(approximate=True)])
def test_dense_contract(activation, precision):
    check_layer(TokenDense(6, activation=activation), TOKENS, precision=precision)


@pytest.mark.parametrize("use_bias", [True, False])
def test_the_same_numbers_as_dense(use_bias):
    ours, reference = (
        layer(6, activation="relu", use_bias=use_bias) for layer in (TokenDense, keras.layers.Dense)
    )
    ours.build(TOKENS.shape), reference.build(TOKENS.shape)
    ours.set_weights(reference.get_weights())
    np.testing.assert_allclose(numpy(ours(TOKENS)), numpy(reference(TOKENS)), rtol=1e-6, atol=1e-6)


def test_the_same_gradients_as_dense():
    upstream = np.random.default_rng(1).normal(size=(3, 5, 6)).astype("float32")
    ours, reference = TokenDense(6, activation="tanh"), keras.layers.Dense(6, activation="tanh")
    ours.build(TOKENS.shape), reference.build(TOKENS.shape)
    ours.set_weights(reference.get_weights())
    expected = gradients(reference, TOKENS, upstream)
    found = gradients(ours, TOKENS, upstream)
    assert found.keys() == expected.keys() == {"kernel", "bias"}
    for name, gradient in expected.items():
        np.testing.assert_allclose(found[name], gradient, rtol=1e-5, atol=1e-5)


X = np.linspace(-8, 8, 321, dtype="float32")
FORMULAS = {
    "gelu_tanh": lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    "gelu_erf": lambda x: x * ndtr(x),
    "relu": lambda x: np.maximum(x, 0),
}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", FORMULAS)
def test_value(name, training):
    found = numpy(ACTIVATIONS[name]()(X, **_arguments(name, training)))
    np.testing.assert_allclose(found, FORMULAS[name](X.astype("float64")), atol=1e-5)


@pytest.mark.parametrize("name", FORMULAS)
def test_value_of_16_bits_in_training_is_the_nearest(name):
    x = X.astype("bfloat16")
    found = numpy(ACTIVATIONS[name]()(x, **_arguments(name, True)))
    expected = FORMULAS[name](x.astype("float64")).astype("float32").astype("bfloat16")
    # Where the value is tiny beside x, float32 itself is not exact.
    near = np.abs(expected.astype("float32")) > 1e-3
    assert found.dtype == x.dtype
    np.testing.assert_array_equal(found[near], expected[near])


def _arguments(name, training):
    return {} if name == "relu" else {"training": training}


def test_geglu_is_a_gate_and_a_value():
    x = np.random.default_rng(2).normal(size=(7, 10)).astype("float32")
    expected = FORMULAS["gelu_tanh"](x[:, :5].astype("float64")) * x[:, 5:]
    for training in (False, True):
        np.testing.assert_allclose(numpy(Geglu()(x, training=training)), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float32", 1e-5), ("mixed_bfloat16", 1e-2), ("mixed_float16", 2e-3)]
)
@pytest.mark.parametrize("name", FORMULAS)
def test_gradient(name, dtype, tolerance):
    x = X[X != 0]  # where the slope of relu jumps
    layer = TokenDense(x.size, activation=ACTIVATIONS[name](), dtype=dtype)
    layer.build((1, 1, 2))
    layer.bias.assign(x)
    # One row without input: what is activated is the bias.
    found = gradients(layer, np.zeros((1, 1, 2), "float32"), np.ones((1, 1, x.size)))["bias"]
    wide, step = x.astype(dtype.removeprefix("mixed_")).astype("float64"), 1e-5
    slope = (FORMULAS[name](wide + step) - FORMULAS[name](wide - step)) / (2 * step)
    np.testing.assert_allclose(found, slope, atol=tolerance)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("name", FORMULAS)
def test_a_layer_keeps_its_type_whatever_the_global_policy_is(name, dtype):
    layer = TokenDense(4, activation=ACTIVATIONS[name](), dtype=dtype)
    for training in (False, True):
        assert dtype_of(layer(X[None, :, None], training=training)) == dtype.removeprefix("mixed_")


def test_a_layer_around_it_tells_it_that_it_trains():
    head = MaskedLMHead("gelu_tanh", dtype="mixed_bfloat16")
    outputs = []
    head.build((1, 1, X.size))
    head.norm.call = lambda x: outputs.append(numpy(x).astype("float32")) or x
    head.dense.set_weights([np.zeros((X.size, X.size)), X])
    for training in (False, True):
        head(np.zeros((1, 1, X.size), "float32"), training=training)
    wide = X.astype("bfloat16").astype("float64")
    inference, trained = (np.abs(out[0, 0] - FORMULAS["gelu_tanh"](wide)) for out in outputs)
    assert trained.sum() < 0.9 * inference.sum()  # float32 between the types rounds less


def test_a_normal_distribution_cut_off_at_two_deviations():
    values = np.asarray(initializer(0.02)((200, 200))).ravel() / 0.02
    assert stats.kstest(values, stats.truncnorm(-2, 2).cdf).pvalue > 1e-4


def test_blank_weights_only_within_the_scope():
    config = BertConfig.preset("tiny", 20)
    with blank_weights():
        blank = build_encoder(config)
    assert all(
        not np.asarray(weight).any() for weight in blank.weights if "gamma" not in weight.path
    )
    table = next(w for w in build_encoder(config).weights if w.path.endswith("token_table"))
    assert np.asarray(table).any()
