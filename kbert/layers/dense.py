"""Dense layers on tokens, their activations, and how new weights begin."""

import contextlib
import contextvars
import functools
from collections.abc import Iterator

import keras
from keras import ops

from kbert.layers.kernels import add_bias, gelu_erf, gelu_tanh

_BLANK = contextvars.ContextVar("blank", default=False)


@keras.saving.register_keras_serializable("kbert")
class TokenDense(keras.layers.Dense):
    """`keras.layers.Dense` on (batch, sequence, width), as one product (batch x sequence, width).

    The same numbers. But Keras's layer returns to three axes before it adds the bias, and across
    that TensorFlow cannot fuse product, bias and activation into one kernel on a CPU: GELU alone
    then takes longer than the product in bfloat16.
    """

    def call(self, inputs, training=False):
        *axes, width = ops.shape(inputs)
        flat = ops.matmul(ops.reshape(inputs, (-1, width)), self.kernel)
        if self.use_bias:
            flat = add_bias(flat, self.bias)
        # An activation that is a layer (`Gelu`) takes `training` from this call.
        activated = self.activation(flat)
        return ops.reshape(activated, (*axes, activated.shape[-1]))


@keras.saving.register_keras_serializable("kbert")
class Gelu(keras.layers.Layer):
    """x times the probability that a normal variable is below x (arXiv 1606.08415).

    Args:
        approximate: Google's form with tanh; otherwise that of Hugging Face's weights, with erf.
    """

    def __init__(self, approximate: bool, **kwargs):
        super().__init__(**{"dtype": "float32", "autocast": False, **kwargs})
        self.approximate = approximate

    def call(self, x, training=False):
        if training:
            return gelu_tanh(x) if self.approximate else gelu_erf(x)
        # TensorFlow knows the graph of this one, and fuses it with the product before it.
        return ops.gelu(x, approximate=self.approximate)

    def get_config(self):
        return {**super().get_config(), "approximate": self.approximate}


@keras.saving.register_keras_serializable("kbert")
class Geglu(Gelu):
    """GELU of the first half of the last axis, times the second half (arXiv 2002.05202)."""

    def __init__(self, approximate: bool = True, **kwargs):
        super().__init__(approximate, **kwargs)

    def call(self, x, training=False):
        gate, value = ops.split(x, 2, axis=-1)
        return super().call(gate, training=training) * value


# Each name of a BertConfig -> what makes the activation of one layer.
ACTIVATIONS = {
    "gelu_tanh": functools.partial(Gelu, approximate=True),
    "gelu_erf": functools.partial(Gelu, approximate=False),
    # No layer of Keras's, which would cast to a type of its own.
    "relu": lambda: ops.relu,
    "geglu": Geglu,
}
# How many numbers make one.
GATED = {"geglu": 2}


def initializer(stddev: float) -> keras.initializers.Initializer:
    """BERT's: a normal distribution, cut off at two deviations."""
    if _BLANK.get():
        return keras.initializers.Zeros()
    return keras.initializers.TruncatedNormal(stddev=stddev)


@contextlib.contextmanager
def blank_weights() -> Iterator[None]:
    """Within it weights begin at 0: for a model that a file fills, all of it.

    Random numbers for BERT-large take seconds, and memory that TensorFlow does not give back.
    """
    token = _BLANK.set(True)
    try:
        yield
    finally:
        _BLANK.reset(token)
