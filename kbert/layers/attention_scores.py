"""What a query and a key make: the number that the softmax of attention is taken of.

    scaled_dot       s . h / sqrt(head_dim)    arXiv 1706.03762, equation 1
    dot              s . h                     arXiv 1508.04025, section 3.1, "dot"
    multiplicative   s . W h                   the same, "general"
    additive         v . tanh(W_2 s + W_1 h)   arXiv 1409.0473, appendix A.1.2

s and h are one head's query and key, which attention has projected from its input: these kernels
are the additive form's W_1 and W_2.
"""

import math

import keras
from keras import ops

from kbert.layers.dense import initializer
from kbert.layers.kernels import additive_score


class _Score(keras.layers.Layer):
    """Of queries and keys (batch, heads, sequence, head_dim) the scores (batch, heads, query, key).

    Args:
        initializer_stddev: of the weights, where there are any.
    """

    def __init__(self, initializer_stddev=0.02, **kwargs):
        super().__init__(**kwargs)
        self.initializer_stddev = initializer_stddev

    def _weight(self, name, *shape):
        return self.add_weight(
            name=name, shape=shape, initializer=initializer(self.initializer_stddev)
        )

    def get_config(self):
        return {**super().get_config(), "initializer_stddev": self.initializer_stddev}


@keras.saving.register_keras_serializable("kbert")
class DotScore(_Score):
    """s . h"""

    def call(self, query, key):
        return ops.matmul(query, ops.swapaxes(key, 2, 3))


@keras.saving.register_keras_serializable("kbert")
class ScaledDotScore(DotScore):
    """s . h / sqrt(head_dim)"""

    def call(self, query, key):
        scores = super().call(query, key)
        return scores * ops.cast(1 / math.sqrt(query.shape[-1]), scores.dtype)


@keras.saving.register_keras_serializable("kbert")
class MultiplicativeScore(DotScore):
    """s . W h, with a W in each head."""

    def build(self, input_shape):
        _, heads, _, head_dim = input_shape
        self.kernel = self._weight("kernel", heads, head_dim, head_dim)

    def call(self, query, key):
        # Not matmul: with one head TensorFlow 2.21 multiplies beyond the kernel's end on a CPU
        # (tensorflow issue 123109).
        return super().call(ops.einsum("bhsd,hde->bhse", query, self.kernel), key)


@keras.saving.register_keras_serializable("kbert")
class AdditiveScore(_Score):
    """v . tanh(s + h), with a v in each head."""

    def build(self, input_shape):
        _, heads, _, head_dim = input_shape
        self.vector = self._weight("vector", heads, head_dim)

    def call(self, query, key):
        # A function with a gradient of its own takes tensors; eagerly, a variable is none.
        return additive_score(query, key, ops.copy(self.vector))


SCORES = {
    "scaled_dot": ScaledDotScore,
    "dot": DotScore,
    "multiplicative": MultiplicativeScore,
    "additive": AdditiveScore,
}
