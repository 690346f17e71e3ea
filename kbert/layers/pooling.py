"""One vector for a text: the mean, the largest values, [CLS], or what attention chooses."""

import keras
from keras import ops

from kbert.layers.initializer import initializer

# Below every value, and never an answer.
_LOWEST = -1e30
# The score of padding: nothing beside any other, and still a number.
_HIDDEN = -1e9


def pool(vectors, padding_mask, mode):
    """(batch, sequence, hidden), (batch, sequence) -> (batch, hidden), float32.

    `mode`: "mean" or "max" over the tokens whose `padding_mask` is not 0, or "cls". A row without
    tokens gives 0 as mean and as max.
    """
    vectors = ops.cast(vectors, "float32")
    if mode == "cls":
        return vectors[:, 0]
    is_token = ops.cast(ops.not_equal(padding_mask, 0), "float32")[:, :, None]
    if mode == "mean":
        return ops.sum(vectors * is_token, axis=1) / ops.maximum(ops.sum(is_token, axis=1), 1.0)
    largest = ops.max(ops.where(is_token > 0, vectors, _LOWEST), axis=1)
    return ops.where(ops.any(is_token > 0, axis=1), largest, 0.0)


@keras.saving.register_keras_serializable("kbert")
class AttentionPooling(keras.layers.Layer):
    """sum_i a_i h_i with a = softmax_i(v . tanh(W h_i + b)) over the tokens of each row
    (Yang et al. 2016, N16-1174, equations 5 to 7).

    Call arguments:
        x: (batch, sequence, hidden).
        padding_mask: integers (batch, sequence), 0 for padding.

    Returns (batch, hidden).
    """

    def __init__(self, initializer_stddev=0.02, **kwargs):
        super().__init__(**kwargs)
        self.initializer_stddev = initializer_stddev

    def build(self, input_shape):
        self.dense = self._dense(input_shape[-1], "dense", activation="tanh")
        self.score = self._dense(1, "score", use_bias=False)
        self.dense.build(input_shape)
        self.score.build(input_shape)

    def _dense(self, units, name, **options):
        return keras.layers.Dense(
            units,
            kernel_initializer=initializer(self.initializer_stddev),
            dtype=self.dtype_policy,
            name=name,
            **options,
        )

    def call(self, x, padding_mask):
        scores = ops.cast(self.score(self.dense(x)), "float32")  # (batch, sequence, 1)
        scores = ops.where(ops.not_equal(padding_mask, 0)[:, :, None], scores, _HIDDEN)
        return ops.sum(ops.cast(ops.softmax(scores, axis=1), x.dtype) * x, axis=1)

    def get_config(self):
        return {**super().get_config(), "initializer_stddev": self.initializer_stddev}
