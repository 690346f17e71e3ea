"""One vector of several: of a text's tokens the mean, the largest values, [CLS], or what attention
chooses; of a token's hidden layers a learned sum."""

import math

import keras
from keras import ops

from kbert.layers import IMPOSSIBLE, Tensor
from kbert.layers.dense import initializer


def pool(vectors: Tensor, padding_mask: Tensor, mode: str) -> Tensor:
    """(batch, sequence, hidden), (batch, sequence) -> (batch, hidden), float32.

    `mode` is a key of `POOLING`: "mean", "max", "mean_sqrt_length" (the sum divided by the root of
    the length), "weighted_mean" (weights 1, 2, 3 ... along the text) or "last" of the tokens whose
    `padding_mask` is not 0, or "cls". A row without tokens gives 0, but for "cls". Raises
    `ValueError` for another mode.
    """
    if mode not in POOLING:
        raise ValueError(f"`mode` must be one of {tuple(POOLING)}. Received: {mode!r}.")
    is_token = ops.not_equal(padding_mask, 0)[:, :, None]
    return POOLING[mode](ops.cast(vectors, "float32"), is_token)


def _cls(vectors, is_token):
    return vectors[:, 0]


def _max(vectors, is_token):
    largest = ops.max(ops.where(is_token, vectors, IMPOSSIBLE), axis=1)
    return ops.where(ops.any(is_token, axis=1), largest, 0.0)


def _mean(vectors, is_token):
    return _weighted(vectors, ops.cast(is_token, "float32"), lambda total: total)


def _mean_sqrt_length(vectors, is_token):
    return _weighted(vectors, ops.cast(is_token, "float32"), ops.sqrt)


def _weighted_mean(vectors, is_token):
    return _weighted(vectors, _positions(is_token), lambda total: total)


def _last(vectors, is_token):
    positions = _positions(is_token)
    # Not `==`, which compares symbols by identity.
    at_end = ops.equal(positions, ops.max(positions, axis=1, keepdims=True))
    is_last = ops.logical_and(positions > 0, at_end)
    return ops.sum(ops.where(is_last, vectors, 0.0), axis=1)


def _weighted(vectors, weights, divisor):
    """The weighted sum, divided by what `divisor` makes of the sum of weights."""
    total = ops.sum(ops.where(weights > 0, vectors, 0.0) * weights, axis=1)
    return total / ops.maximum(divisor(ops.sum(weights, axis=1)), 1.0)


def _positions(is_token):
    """1, 2, 3 ... of a row's tokens, 0 of its padding: (batch, sequence, 1), float32."""
    is_token = ops.cast(is_token, "float32")
    return ops.cumsum(is_token, axis=1) * is_token


# In the order in which sentence-transformers concatenates several.
POOLING = {
    "cls": _cls,
    "max": _max,
    "mean": _mean,
    "mean_sqrt_length": _mean_sqrt_length,
    "weighted_mean": _weighted_mean,
    "last": _last,
}


@keras.saving.register_keras_serializable("kbert")
class AttentionPooling(keras.layers.Layer):
    """sum_i a_i h_i with a = softmax_i score(s, h_i) over the tokens of each row: attention whose
    keys and values are the tokens, and whose query s is learned.

        additive     v . tanh(W h_i + b)    Yang et al. 2016, N16-1174, equations 5 to 7
        scaled_dot   s . h_i / sqrt(hidden)

    Of one query the additive form's W_2 s is one vector, b; and so is s^T W of the multiplicative
    form, which is a dot product.

    Args:
        score: one of the two.
        initializer_stddev: of the kernels.

    Call arguments:
        x: (batch, sequence, hidden).
        padding_mask: integers (batch, sequence), 0 for padding.

    Returns (batch, hidden).
    """

    def __init__(self, score="additive", initializer_stddev=0.02, **kwargs):
        super().__init__(**kwargs)
        if score not in ("additive", "scaled_dot"):
            raise ValueError(f"`score` must be additive or scaled_dot. Received: {score!r}.")
        self.score = score
        self.initializer_stddev = initializer_stddev

    def build(self, input_shape):
        if self.score == "additive":
            self.dense = self._dense(input_shape[-1], "dense", activation="tanh")
            self.dense.build(input_shape)
        self.query = self._dense(1, "score", use_bias=False)
        self.query.build(input_shape)

    def _dense(self, units, name, **options):
        return keras.layers.Dense(
            units,
            kernel_initializer=initializer(self.initializer_stddev),
            dtype=self.dtype_policy,
            name=name,
            **options,
        )

    def call(self, x, padding_mask):
        scores = ops.cast(self._scores(x), "float32")  # (batch, sequence, 1)
        scores = ops.where(ops.not_equal(padding_mask, 0)[:, :, None], scores, IMPOSSIBLE)
        return ops.sum(ops.cast(ops.softmax(scores, axis=1), x.dtype) * x, axis=1)

    def _scores(self, x):
        if self.score == "additive":
            return self.query(self.dense(x))
        return self.query(x) / math.sqrt(x.shape[-1])

    def get_config(self):
        names = ("score", "initializer_stddev")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("kbert")
class WeightedSum(keras.layers.Layer):
    """gamma sum_j softmax(w)_j h_j: one learned number a layer, and one for all; first their mean
    (arXiv 1802.05365, equation 1; BERT paper, table 7).

    Args:
        num_layers: how many layers stand side by side in the input.

    Call arguments:
        x: (batch, sequence, num_layers x hidden).

    Returns (batch, sequence, hidden).
    """

    def __init__(self, num_layers, **kwargs):
        super().__init__(**kwargs)
        self.num_layers = num_layers

    def build(self, input_shape):
        if input_shape[-1] % self.num_layers:
            raise ValueError(
                "The width of the input must be a multiple of `num_layers`. "
                f"Received: width {input_shape[-1]}, num_layers={self.num_layers}."
            )
        self.weight = self.add_weight(name="w", shape=(self.num_layers,), initializer="zeros")
        self.gamma = self.add_weight(name="gamma", shape=(), initializer="ones")

    def call(self, x):
        batch, sequence, width = ops.shape(x)
        layers = ops.reshape(x, (batch, sequence, self.num_layers, width // self.num_layers))
        weights = ops.softmax(self.weight)[:, None]  # (layers, 1)
        return self.gamma * ops.sum(weights * layers, axis=2)

    def get_config(self):
        return {**super().get_config(), "num_layers": self.num_layers}
