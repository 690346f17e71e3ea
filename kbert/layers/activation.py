"""The activations that a BertConfig can name."""

import math

from keras import ops


def _with_slope(function, slope_of):
    """The function with its gradient written down: the slope at x, times what comes from above.

    So nothing but x is kept for the backward pass. Differentiated op by op, a GELU keeps three to
    five tensors as large as the feed-forward layer, and writing them takes longer than computing
    the slope from x.
    """

    @ops.custom_gradient
    def activation(x):
        def gradient(*args, upstream=None):
            upstream = args[0] if upstream is None else upstream
            slope = slope_of(ops.cast(x, "float32"))
            return ops.cast(ops.cast(upstream, "float32") * slope, x.dtype)

        return function(x), gradient

    return activation


def _gelu_tanh_slope(x):
    scale, cubic = math.sqrt(2 / math.pi), 0.044715
    square = ops.square(x)
    tanh = ops.tanh(scale * x * (1 + cubic * square))
    inner_slope = scale * (1 + 3 * cubic * square)
    return 0.5 * (1 + tanh) + 0.5 * x * (1 - ops.square(tanh)) * inner_slope


def _gelu_erf_slope(x):
    below = 0.5 * (1 + ops.erf(x / math.sqrt(2)))
    density = ops.exp(-0.5 * ops.square(x)) / math.sqrt(2 * math.pi)
    return below + x * density


ACTIVATIONS = {
    # Google's form: 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))
    "gelu_tanh": _with_slope(lambda x: ops.gelu(x, approximate=True), _gelu_tanh_slope),
    # x Phi(x), the form of Hugging Face's weights
    "gelu_erf": _with_slope(lambda x: ops.gelu(x, approximate=False), _gelu_erf_slope),
    "relu": ops.relu,
}
