"""What stands on the encoder: the poolers, and the head over the vocabulary."""

import keras
from keras import ops

from kbert.layers import Tensor
from kbert.layers.dense import ACTIVATIONS, initializer
from kbert.layers.kernels import add_bias

_UNGATED = {"geglu": "gelu_tanh"}


@keras.saving.register_keras_serializable("kbert")
class Pooler(keras.layers.Layer):
    """tanh(W h + b) of the vectors at [CLS]: one vector a sequence.

    Call arguments:
        sequence_output: (batch, sequence, hidden).
        cls_positions: integers (batch, sequences a row), or None for the first token of each row.

    Returns (batch, sequences a row, hidden), or (batch, hidden) without `cls_positions`.
    """

    def __init__(self, initializer_stddev=0.02, **kwargs):
        super().__init__(**kwargs)
        self.initializer_stddev = initializer_stddev

    def build(self, input_shape):
        self.dense = keras.layers.Dense(
            input_shape[-1],
            activation="tanh",
            kernel_initializer=initializer(self.initializer_stddev),
            dtype=self.dtype_policy,
            name="dense",
        )
        self.dense.build(input_shape)

    def call(self, sequence_output, cls_positions=None):
        if cls_positions is None:
            return self.dense(sequence_output[:, 0])
        return self.dense(gather(sequence_output, cls_positions))

    def get_config(self):
        return {**super().get_config(), "initializer_stddev": self.initializer_stddev}


@keras.saving.register_keras_serializable("kbert")
class SequencePooler(Pooler):
    """tanh(W p + b), where p is of all tokens of a sequence: their mean, their largest values, the
    last one, or their ends, half of the last token's vector and half of the first's, which are the
    last states of two LSTMs.

    Args:
        kind: "mean", "max", "last" or "ends".

    Call arguments:
        sequence_output: (batch, sequence, hidden).
        padding_mask: integers (batch, sequence); the numbers of the sequences.
        cls_positions: integers (batch, sequences a row), a token of each sequence, the first for
            "ends"; or None for the first token of each row.

    Returns as `Pooler`.
    """

    def __init__(self, kind, initializer_stddev=0.02, **kwargs):
        super().__init__(initializer_stddev, **kwargs)
        self.kind = kind

    def call(self, sequence_output, padding_mask, cls_positions=None):
        positions = cls_positions
        if positions is None:
            positions = ops.zeros_like(padding_mask[:, :1])
        number = ops.take_along_axis(padding_mask, ops.cast(positions, "int32"), axis=1)
        # (batch, sequences a row, sequence)
        member = ops.equal(padding_mask[:, None, :], number[:, :, None])
        pooled = self.dense(self._pooled(sequence_output, member, positions))
        return pooled[:, 0] if cls_positions is None else pooled

    def _pooled(self, x, member, positions):
        if self.kind == "mean":
            shares = ops.cast(member, "float32")
            shares = shares / ops.sum(shares, axis=-1, keepdims=True)
            return ops.matmul(ops.cast(shares, x.dtype), x)
        if self.kind == "max":
            lowest = ops.cast(-6e4, x.dtype)  # float16 ends at 65,504.
            return ops.max(ops.where(member[..., None], x[:, None], lowest), axis=2)
        places = ops.arange(ops.shape(x)[1], dtype="int32")
        last = gather(x, ops.max(ops.where(member, places, 0), axis=-1))
        if self.kind == "last":
            return last
        half = x.shape[-1] // 2
        return ops.concatenate([last[..., :half], gather(x, positions)[..., half:]], axis=-1)

    def get_config(self):
        return {**super().get_config(), "kind": self.kind}


@keras.saving.register_keras_serializable("kbert")
class MaskedLMHead(keras.layers.Layer):
    """LayerNorm(activation(W h + b)) of the vectors at the masked positions.

    The positions are gathered first, so that only they are transformed and scored. The scores are
    the products with the token table (`BertEmbedding`, reversed) plus `VocabularyBias`.

    Call arguments:
        sequence_output: (batch, sequence, hidden).
        mask_positions: integers (batch, predictions), or None for every position.

    Returns (batch, predictions, hidden).
    """

    def __init__(
        self,
        activation="gelu_tanh",
        layer_norm_epsilon=1e-12,
        initializer_stddev=0.02,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.activation = activation
        self.layer_norm_epsilon = layer_norm_epsilon
        self.initializer_stddev = initializer_stddev

    def build(self, input_shape):
        self.dense = keras.layers.Dense(
            input_shape[-1],
            # A gate is of feed-forward layers.
            activation=ACTIVATIONS[_UNGATED.get(self.activation, self.activation)](),
            kernel_initializer=initializer(self.initializer_stddev),
            dtype=self.dtype_policy,
            name="dense",
        )
        self.norm = keras.layers.LayerNormalization(
            epsilon=self.layer_norm_epsilon, dtype=self.dtype_policy, name="norm"
        )
        self.dense.build(input_shape)
        self.norm.build(input_shape)

    def call(self, sequence_output, mask_positions=None):
        if mask_positions is not None:
            sequence_output = gather(sequence_output, mask_positions)
        return self.norm(self.dense(sequence_output))

    def get_config(self):
        names = ("activation", "layer_norm_epsilon", "initializer_stddev")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("kbert")
class VocabularyBias(keras.layers.Layer):
    """Adds one learned number a piece to scores (batch, predictions, vocabulary).

    The sum is float32 whatever the scores are, and what goes back to them is of their type: the
    gradient of these, the largest tensors of pre-training, is written once.
    """

    def __init__(self, **kwargs):
        super().__init__(**{"dtype": "float32", "autocast": False, **kwargs})

    def build(self, input_shape):
        self.bias = self.add_weight(name="bias", shape=(input_shape[-1],), initializer="zeros")

    def call(self, scores):
        *axes, vocabulary = ops.shape(scores)
        flat = ops.reshape(scores, (-1, vocabulary))
        flat = add_bias(flat, self.bias)
        return ops.reshape(flat, (*axes, vocabulary))


def gather(vectors: Tensor, positions: Tensor) -> Tensor:
    """Rows of each matrix: (batch, sequence, hidden), (batch, n) -> (batch, n, hidden)."""
    batch, sequence, hidden = ops.shape(vectors)
    # One flat lookup: its gradient is one scatter-add, on every backend.
    offsets = ops.arange(batch, dtype="int32")[:, None] * sequence
    flat = ops.reshape(vectors, (batch * sequence, hidden))
    return ops.take(flat, ops.cast(positions, "int32") + offsets, axis=0)
