"""The activations that a BertConfig can name."""

import functools
import math

import keras
from keras import ops

_SCALE, _CUBIC = math.sqrt(2 / math.pi), 0.044715


@keras.saving.register_keras_serializable("kbert")
class Gelu(keras.layers.Layer):
    """x times the probability that a normal variable is below x (arXiv 1606.08415).

    Args:
        approximate: Google's form, 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))); otherwise
            0.5 x (1 + erf(x / sqrt(2))), the form of Hugging Face's weights.
    """

    def __init__(self, approximate, **kwargs):
        super().__init__(**{"dtype": "float32", "autocast": False, **kwargs})
        self.approximate = approximate

    def call(self, x, training=False):
        if training:
            return _gelu_tanh(x) if self.approximate else _gelu_erf(x)
        # TensorFlow knows the graph of this one, and melts it with the product before it.
        return ops.gelu(x, approximate=self.approximate)

    def get_config(self):
        return {**super().get_config(), "approximate": self.approximate}


def _in_training(curve, slope_of):
    """0.5 x (1 + curve(x)), with the gradient written down.

    Between the types of x it computes in float32: an operation of 16 bits is one of 32 with a
    conversion before and after it. The slope is computed from x, so that nothing but x is kept for
    the backward pass; differentiated op by op, a GELU keeps three to five tensors as large as the
    feed-forward layer, and writing them takes longer.
    """

    @ops.custom_gradient
    def gelu(x):
        def gradient(*args, upstream=None):
            upstream = args[0] if upstream is None else upstream
            slope = slope_of(ops.cast(x, "float32"))
            return ops.cast(ops.cast(upstream, "float32") * slope, x.dtype)

        # Halved before the cast, which costs nothing. The slope casts x itself; were it the same
        # cast here, TensorFlow would do it once and keep the wide copy for the backward pass.
        half = ops.cast(0.5 * x, "float32")
        return ops.cast(half + half * curve(2 * half), x.dtype), gradient

    return gelu


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


_gelu_tanh = _in_training(_tanh, _gelu_tanh_slope)
_gelu_erf = _in_training(_erf, _gelu_erf_slope)

# Each name -> what makes the activation of one layer.
ACTIVATIONS = {
    "gelu_tanh": functools.partial(Gelu, approximate=True),
    "gelu_erf": functools.partial(Gelu, approximate=False),
    # No layer of Keras's, which would cast to a type of its own.
    "relu": lambda: ops.relu,
}
