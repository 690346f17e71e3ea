"""Functions with a gradient of their own: what automatic differentiation would do worse.

Each gives the numbers of its formula, and says why its gradient is written down;
`benchmarks/kernels.py` times each beside the same formula, differentiated operation by operation.
"""

import functools
import math
from collections.abc import Callable

from keras import ops

from kbert.layers import Tensor

_SCALE, _CUBIC = math.sqrt(2 / math.pi), 0.044715
# A value, and backward(upstream) -> a gradient for each argument.
_Differentiated = tuple[Tensor, Callable]


def _with_gradient(function: Callable[..., _Differentiated]) -> Callable[..., Tensor]:
    """Called with tensors it gives the value; differentiated, what `backward` says."""

    @functools.wraps(function)
    def kernel(*tensors):
        result, backward = function(*tensors)

        def gradient(*args, upstream=None):
            # Keras's backends hand it over by place or by name.
            return backward(args[0] if upstream is None else upstream)

        return result, gradient

    return ops.custom_gradient(kernel)


@_with_gradient
def gelu_tanh(x: Tensor) -> _Differentiated:
    """Google's GELU, 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), of any shape.

    The slope is computed from x, so that nothing but x is kept for the backward pass.
    Differentiated operation by operation, a GELU keeps three to five tensors as large as the
    feed-forward layer. Between the types of x it computes in float32: an operation of 16 bits is
    one of 32 with a conversion before and after it.
    """
    return _gelu(x, _tanh), lambda upstream: _slope(x, _gelu_tanh_slope, upstream)


@_with_gradient
def gelu_erf(x: Tensor) -> _Differentiated:
    """GELU by its definition, 0.5 x (1 + erf(x / sqrt(2))); otherwise as `gelu_tanh`."""
    return _gelu(x, _erf), lambda upstream: _slope(x, _gelu_erf_slope, upstream)


def _gelu(x, curve):
    # Halved before the cast, which costs nothing. The slope casts x itself; were it the same cast
    # here, TensorFlow would do it once and keep the wide copy for the backward pass.
    half = ops.cast(0.5 * x, "float32")
    return ops.cast(half + half * curve(2 * half), x.dtype)


def _slope(x, slope_of, upstream):
    slope = slope_of(ops.cast(x, "float32"))
    return ops.cast(ops.cast(upstream, "float32") * slope, x.dtype)


def _tanh(x):
    return ops.tanh(_SCALE * x * (1 + _CUBIC * ops.square(x)))


def _gelu_tanh_slope(x):
    tanh = _tanh(x)
    inner_slope = _SCALE * (1 + 3 * _CUBIC * ops.square(x))
    return 0.5 * (1 + tanh) + 0.5 * x * (1 - ops.square(tanh)) * inner_slope


def _erf(x):
    return ops.erf(x / math.sqrt(2))


def _gelu_erf_slope(x):
    density = ops.exp(-0.5 * ops.square(x)) / math.sqrt(2 * math.pi)
    return 0.5 * (1 + _erf(x)) + x * density


def softmax(scores: Tensor, dtype: str) -> Tensor:
    """The softmax of float32 (..., key) in another type.

    Its gradient needs nothing but its result in that type, so no float32 (batch, heads, query, key)
    waits for the backward pass.
    """

    @_with_gradient
    def kernel(scores):
        probabilities = ops.cast(ops.softmax(scores), dtype)

        def backward(upstream):
            upstream, shares = ops.cast(upstream, "float32"), ops.cast(probabilities, "float32")
            return shares * (upstream - ops.sum(upstream * shares, axis=-1, keepdims=True))

        return probabilities, backward

    return kernel(scores)


def add_bias(x: Tensor, bias: Tensor) -> Tensor:
    """x (rows, width) + bias (width), in the wider type of both.

    The gradient of the bias is a matrix product: a row of ones times what comes from above is the
    sum over its rows, in one pass. On a CPU, XLA sums long columns as a tree, for which it first
    writes them all out in float32. There are two rows of ones, because XLA fuses a product with a
    single one into what comes before it, which is then computed twice. What goes back to x is of
    its type, where a wider bias makes the sum wider.
    """
    # A function with a gradient of its own takes tensors; eagerly, a variable is none.
    return _add_bias(x, ops.copy(bias))


@_with_gradient
def _add_bias(x, bias):
    def backward(upstream):
        upstream = ops.cast(upstream, x.dtype)
        ones = ops.ones((2, ops.shape(x)[0]), x.dtype)
        return upstream, ops.cast(ops.matmul(ones, upstream)[0], bias.dtype)

    return ops.add(x, bias), backward


@_with_gradient
def multiply_by_table(vectors: Tensor, table: Tensor) -> _Differentiated:
    """(n, hidden), (vocabulary, hidden) -> their products, (n, vocabulary).

    The table's gradient is a product that comes out as the table lies. That of a transposed table
    comes out transposed, and turning 30,000 rows round takes longer than the product.
    """

    def backward(upstream):
        return ops.matmul(upstream, table), ops.matmul(ops.transpose(upstream), vectors)

    return ops.matmul(vectors, ops.transpose(table)), backward


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """In nats, of float32 logits (rows, classes) and int32 targets (rows, 1) -> (rows,).

    A row of masked LM is as long as the vocabulary: the gradient of the lookup of its target would
    be a scatter, and a softmax kept for it one more table of that size.
    """

    @_with_gradient
    def kernel(logits):
        highest = ops.max(logits, axis=-1, keepdims=True)
        total = highest + ops.log(ops.sum(ops.exp(logits - highest), axis=-1, keepdims=True))

        def backward(upstream):
            is_target = ops.equal(ops.arange(ops.shape(logits)[-1], dtype="int32"), targets)
            shares = ops.exp(logits - total) - ops.cast(is_target, "float32")
            return shares * ops.expand_dims(upstream, -1)

        return (total - ops.take_along_axis(logits, targets, axis=-1))[..., 0], backward

    return kernel(logits)


@_with_gradient
def additive_score(query: Tensor, key: Tensor, vector: Tensor) -> _Differentiated:
    """vector . tanh(s + h) of every query s and key h of a head.

    (batch, heads, query, head_dim), (batch, heads, key, head_dim), (heads, head_dim) -> float32
    (batch, heads, query, key).

    The tanh of all pairs is head_dim times as large as the scores: it is computed again for the
    gradients, so that nothing of its size waits for them, nor is written out where XLA compiles.
    Keys stand last, because on a CPU XLA adds up many columns at once, and a row number by number.
    """

    def parts():
        queries, keys = (ops.swapaxes(ops.cast(x, "float32"), 2, 3) for x in (query, key))
        pairs = ops.tanh(queries[..., None] + keys[:, :, :, None, :])
        return pairs, ops.cast(vector, "float32")[:, :, None, None]

    def backward(upstream):
        pairs, weights = parts()  # (batch, heads, head_dim, query, key)
        upstream = ops.cast(upstream, "float32")[:, :, None]
        slopes = upstream * weights * (1 - ops.square(pairs))
        of_query, of_key = (ops.swapaxes(ops.sum(slopes, axis=axis), 2, 3) for axis in (4, 3))
        of_vector = ops.sum(upstream * pairs, axis=(0, 3, 4))
        found = zip((of_query, of_key, of_vector), (query, key, vector), strict=True)
        return tuple(ops.cast(gradient, x.dtype) for gradient, x in found)

    pairs, weights = parts()
    return ops.sum(pairs * weights, axis=2), backward
