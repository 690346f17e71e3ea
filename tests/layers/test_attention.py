"""MultiHeadSelfAttention against a hand calculation, the NumPy reference and Keras's own layer."""

import keras
import numpy as np
import pytest

from kbert.layers import attention
from kbert.layers.attention import MultiHeadSelfAttention, visible
from tests import reference_bert
from tests.layers.contract import check_layer, dtype_of, numpy

MASKS = [[1] * 6, [1, 1, 1, 1, 0, 0], [1, 1, 2, 2, 2, 0], [0] * 6]


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(4, 6, 8)).astype("float32")


@pytest.fixture
def layer(x):
    layer = MultiHeadSelfAttention(2, dropout=0.0, name="attention")
    layer(x)
    return layer


def test_contract(x, precision):
    check_layer(
        MultiHeadSelfAttention(2, dropout=0.0), x, np.array(MASKS, "int32"), precision=precision
    )


def test_hand_calculation():
    """One head of width 1 with kernels 1, 2, 3: q = x, k = 2x, v = 3x."""
    layer = MultiHeadSelfAttention(1, dropout=0.0)
    layer.build((1, 2, 1))
    layer.set_weights(
        [np.array([[1.0, 2.0, 3.0]]), np.zeros(3), np.array([[10.0]]), np.array([1.0])]
    )
    # Two tokens, 0 and ln 2: the first scores both with 0; the second scores 0 and 2 (ln 2)^2.
    log2 = float(np.log(2))
    attended, probabilities = layer(np.array([[[0.0], [log2]]]), return_attention_scores=True)
    share = np.exp(2 * log2**2) / (1 + np.exp(2 * log2**2))
    np.testing.assert_allclose(
        numpy(probabilities)[0, 0], [[0.5, 0.5], [1 - share, share]], atol=1e-6
    )
    # 10 x (share x 3 ln 2) + 1
    np.testing.assert_allclose(
        numpy(attended)[0, :, 0], [15 * log2 + 1, 30 * log2 * share + 1], rtol=1e-6
    )


def test_equal_scores_average_the_values():
    """Kernels of whole numbers: where queries are 0 every token gets the mean of the visible."""
    layer = MultiHeadSelfAttention(2, dropout=0.0)
    layer.build((1, 3, 4))
    identity = np.eye(4)
    kernel = np.concatenate([0 * identity, identity, identity], axis=1)
    layer.set_weights([kernel, np.zeros(12), identity, np.zeros(4)])
    x = np.arange(12.0).reshape(1, 3, 4)
    np.testing.assert_allclose(numpy(layer(x))[0], [[4, 5, 6, 7]] * 3, atol=1e-6)
    masked = numpy(layer(x, np.array([[1, 1, 0]])))
    np.testing.assert_allclose(masked[0, :2], [[2, 3, 4, 5]] * 2, atol=1e-6)


@pytest.mark.parametrize("direction", ["both", "left"])
def test_equals_reference(x, direction):
    layer = MultiHeadSelfAttention(2, dropout=0.0, direction=direction, name="attention")
    layer.build(x.shape)
    weights = reference_bert.randomized(layer)
    attended, scores = layer(x, np.array(MASKS), return_attention_scores=True)
    for row, mask in enumerate(MASKS):
        expected, probabilities = reference_bert.attention(
            weights, "attention/", x[row], mask, 2, direction
        )
        np.testing.assert_allclose(numpy(attended)[row], expected, atol=1e-5)
        np.testing.assert_allclose(numpy(scores)[row], probabilities, atol=1e-5)


def test_equals_keras_layer(layer, x):
    """keras.layers.MultiHeadAttention with our kernels: code that we did not write."""
    weights = reference_bert.randomized(layer)
    theirs = keras.layers.MultiHeadAttention(num_heads=2, key_dim=4)
    theirs.build(x.shape, x.shape)
    kernel, bias, out_kernel, out_bias = weights.values()
    kernels = [part.reshape(8, 2, 4) for part in np.split(kernel, 3, axis=1)]
    biases = [part.reshape(2, 4) for part in np.split(bias, 3)]
    by_part = dict(zip(("query", "key", "value"), zip(kernels, biases, strict=True), strict=True))
    for weight in theirs.weights:
        part, kind = weight.path.split("/")[-2:]
        if part == "attention_output":
            weight.assign(out_kernel.reshape(2, 4, 8) if kind == "kernel" else out_bias)
        else:
            weight.assign(by_part[part][kind == "bias"])
    masks = np.array(MASKS)
    same = masks[:, :, None] == masks[:, None, :]
    mask = same & (masks[:, None, :] > 0)
    expected = numpy(theirs(x, x, attention_mask=mask))
    real = masks > 0  # Keras's result at padding means nothing.
    np.testing.assert_allclose(numpy(layer(x, masks))[real], expected[real], atol=1e-5)
    np.testing.assert_allclose(numpy(layer(x)), numpy(theirs(x, x)), atol=1e-5)


def test_fused_kernel_gives_the_same(layer, x, monkeypatch):
    """The call of a GPU's kernel, computed by the backend's own formula where there is no GPU."""
    reference_bert.randomized(layer)
    masks = np.array(MASKS)
    expected = numpy(layer(x)), numpy(layer(x, masks, training=True))
    calls = []

    def counted(*args, **kwargs):
        calls.append(kwargs)
        return fused(*args, **kwargs)

    fused = keras.ops.dot_product_attention
    monkeypatch.setattr(attention.ops, "dot_product_attention", counted)
    monkeypatch.setattr(attention, "_has_fused_kernel", lambda: True)
    real = masks > 0
    np.testing.assert_allclose(numpy(layer(x)), expected[0], atol=1e-5)
    found = numpy(layer(x, masks, training=True))
    np.testing.assert_allclose(found[real], expected[1][real], atol=1e-5)
    assert np.isfinite(found).all() and len(calls) == 2
    layer.dropout = 0.1
    layer(x, masks, training=True)
    layer(x, masks, return_attention_scores=True)
    layer.dropout = 0.0
    layer(x[:, :5], masks[:, :5], training=True)
    assert len(calls) == 2  # It neither drops nor returns, and has no gradient of odd lengths.


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_padding_does_not_matter(x, precision, policy):
    """Not by a bit: what is added to a score that is not seen leaves no share of it."""
    precision(policy)
    layer = MultiHeadSelfAttention(2, dropout=0.0, name="attention")
    layer(x)
    reference_bert.randomized(layer)
    mask = np.array(MASKS)
    other = np.where((mask == 0)[:, :, None], 77.0, x)
    real = mask > 0
    np.testing.assert_array_equal(numpy(layer(x, mask))[real], numpy(layer(other, mask))[real])


def test_fully_padded_row_gives_numbers(layer, x):
    attended, scores = layer(x, np.zeros((4, 6)), return_attention_scores=True)
    assert np.isfinite(numpy(attended)).all()
    np.testing.assert_allclose(numpy(scores), 1 / 6, rtol=1e-6)


def test_visible():
    """Two tokens see each other if they carry the same non-zero number."""
    expected = [
        [1, 1, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
    ]
    result = numpy(visible(keras.ops.convert_to_tensor([[1, 1, 2, 0, 0]])))
    np.testing.assert_array_equal(result, np.array([[expected]], bool))


def test_visible_to_the_left():
    """Itself and earlier tokens of its own number; without a mask the row is one sequence."""
    expected = [
        [1, 0, 0, 0, 0],
        [0, 1, 0, 0, 0],
        [1, 0, 1, 0, 0],
        [0, 1, 0, 1, 0],
        [0, 0, 0, 0, 0],
    ]
    result = numpy(visible(keras.ops.convert_to_tensor([[1, 2, 1, 2, 0]]), "left"))
    np.testing.assert_array_equal(result, np.array([[expected]], bool))
    layer = MultiHeadSelfAttention(1, direction="left")
    _, scores = layer(np.ones((1, 3, 4), "float32"), return_attention_scores=True)
    thirds = [[1, 0, 0], [1 / 2, 1 / 2, 0], [1 / 3, 1 / 3, 1 / 3]]
    np.testing.assert_allclose(numpy(scores)[0, 0], thirds, atol=1e-6)


def test_scores_stay_finite_in_float16(precision):
    """Scores of 300 overflow an exponential in 16 bits; the softmax is taken in float32."""
    precision("mixed_float16")
    layer = MultiHeadSelfAttention(1, dropout=0.0)
    layer.build((1, 2, 1))
    layer.set_weights([np.array([[30.0, 30.0, 1.0]]), np.zeros(3), np.array([[1.0]]), np.zeros(1)])
    attended, scores = layer(np.array([[[1.0], [-1.0]]]), return_attention_scores=True)
    np.testing.assert_allclose(numpy(scores)[0, 0], np.eye(2), atol=1e-6)
    assert dtype_of(scores) == "float32"
    np.testing.assert_allclose(numpy(attended).astype("float32")[0, :, 0], [1, -1], atol=1e-3)


def test_dropout_acts_in_training_only(x):
    layer = MultiHeadSelfAttention(2, dropout=0.5)
    still = numpy(layer(x))
    np.testing.assert_array_equal(numpy(layer(x, training=False)), still)
    first, second = numpy(layer(x, training=True)), numpy(layer(x, training=True))
    assert not np.allclose(first, still) and not np.allclose(first, second)


def test_width_must_be_a_multiple_of_heads():
    with pytest.raises(ValueError, match="width 8, num_heads=3"):
        MultiHeadSelfAttention(3).build((None, None, 8))


def test_one_projection_for_query_key_value(layer):
    shapes = {weight.path.split("/", 1)[1]: tuple(weight.shape) for weight in layer.weights}
    assert shapes == {
        "query_key_value/kernel": (8, 24),
        "query_key_value/bias": (24,),
        "output_projection/kernel": (8, 8),
        "output_projection/bias": (8,),
    }


@pytest.mark.parametrize("direction", ["both", "left"])
def test_some_positions_are_those_of_all(x, direction):
    layer = MultiHeadSelfAttention(2, dropout=0.0, direction=direction)
    mask, positions = np.array(MASKS, "int32"), np.array([[5, 0], [1, 1], [2, 4], [3, 0]], "int32")
    every, scores = map(numpy, layer(x, mask, return_attention_scores=True))
    some, some_scores = map(
        numpy, layer(x, mask, return_attention_scores=True, positions=positions)
    )
    np.testing.assert_allclose(
        some, np.take_along_axis(every, positions[..., None], axis=1), atol=1e-6
    )
    np.testing.assert_allclose(
        some_scores, np.take_along_axis(scores, positions[:, None, :, None], axis=2), atol=1e-6
    )
