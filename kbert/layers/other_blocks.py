"""Blocks of encoders that are no Transformers: LSTM, convolution, bag of words.

Each takes and gives what a `TransformerEncoderBlock` does, (batch, sequence, hidden) with a
`padding_mask` that numbers the sequences of a row, whose tokens stand side by side. No token sees
another sequence; with direction "left" it sees what is left of it only.
"""

import keras
from keras import ops

from kbert.config import CONVOLUTION_WIDTH
from kbert.layers.attention import visible
from kbert.layers.bilstm import LSTM, reversed_rows
from kbert.layers.dense import ACTIVATIONS, TokenDense, initializer
from kbert.layers.dropout import Dropout


@keras.saving.register_keras_serializable("kbert")
class BiLSTMBlock(keras.layers.Layer):
    """[forward state; backward state] of each token, half of the width each; to the left the
    forward state alone.

    Args:
        direction: "both", "left", or "apart": each LSTM reads its own half of the input, so that
            layers of both stand side by side and neither knows of the other's text (ELMo, arXiv
            1802.05365, section 3.1).
        dropout: share of the result set to 0 in training.

    Call arguments and result: as `TransformerEncoderBlock`, without attention scores.
    """

    def __init__(self, direction="both", dropout=0.1, **kwargs):
        super().__init__(**kwargs)
        self.direction = direction
        self.dropout = dropout
        self.output_dropout = Dropout(dropout, dtype=self.dtype_policy)

    def build(self, input_shape):
        *axes, width = input_shape
        size = width if self.direction == "left" else width // 2
        input_shape = (*axes, size if self.direction == "apart" else width)
        self.forward = self._lstm(size, "forward")
        self.forward.build(input_shape)
        if self.direction != "left":
            self.backward = self._lstm(size, "backward")
            self.backward.build(input_shape)

    def _lstm(self, size, name):
        return LSTM(size, packed=True, dtype=self.dtype_policy, name=name)

    def call(self, x, padding_mask, training=None):
        before, after = ops.split(x, 2, axis=-1) if self.direction == "apart" else (x, x)
        states = self.forward(before, _starts(padding_mask))
        if self.direction != "left":
            turned = reversed_rows(padding_mask[..., None], padding_mask)[..., 0]
            behind = self.backward(reversed_rows(after, padding_mask), _starts(turned))
            states = ops.concatenate([states, reversed_rows(behind, padding_mask)], axis=-1)
        return self.output_dropout(states, training=training)

    def get_config(self):
        return {**super().get_config(), "direction": self.direction, "dropout": self.dropout}


class _ResidualBlock(keras.layers.Layer):
    """LayerNorm(x + activation(W context + b)); a subclass says what a token's context is.

    Args:
        direction: "both" or "left".
        dropout: share of what is added to x set to 0 in training.
        activation: a key of `ACTIVATIONS`, without a gate.
        layer_norm_epsilon: added to the variance.
        initializer_stddev: of the kernel.

    Call arguments and result: as `TransformerEncoderBlock`, without attention scores.
    """

    def __init__(
        self,
        direction="both",
        dropout=0.1,
        activation="relu",
        layer_norm_epsilon=1e-12,
        initializer_stddev=0.02,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.direction = direction
        self.dropout = dropout
        self.activation = activation
        self.layer_norm_epsilon = layer_norm_epsilon
        self.initializer_stddev = initializer_stddev
        self.norm = keras.layers.LayerNormalization(
            epsilon=layer_norm_epsilon, dtype=self.dtype_policy, name="norm"
        )
        self.residual_dropout = Dropout(dropout, dtype=self.dtype_policy)

    def build(self, input_shape):
        *axes, hidden = input_shape
        self.dense = TokenDense(
            hidden,
            activation=ACTIVATIONS[self.activation](),
            kernel_initializer=initializer(self.initializer_stddev),
            dtype=self.dtype_policy,
            name="dense",
        )
        self.dense.build((*axes, self.num_vectors * hidden))
        self.norm.build(input_shape)

    def call(self, x, padding_mask, training=None):
        transformed = self.dense(self.context(x, padding_mask), training=training)
        return self.norm(x + self.residual_dropout(transformed, training=training))

    def get_config(self):
        names = ("direction", "dropout", "activation", "layer_norm_epsilon", "initializer_stddev")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("kbert")
class ConvolutionBlock(_ResidualBlock):
    """LayerNorm(x + activation(W [before; x; after] + b)): a convolution over three tokens, zeros
    beyond the sequence's ends; to the left over the token and the two before it.
    """

    num_vectors = CONVOLUTION_WIDTH

    def context(self, x, padding_mask):
        """(batch, sequence, 3 x hidden): the vectors that the convolution sees."""
        before = CONVOLUTION_WIDTH - 1 if self.direction == "left" else CONVOLUTION_WIDTH // 2
        ends = (before, CONVOLUTION_WIDTH - 1 - before)
        sequence = ops.shape(x)[1]
        padded = ops.pad(x, ((0, 0), ends, (0, 0)))
        numbers = ops.pad(padding_mask, ((0, 0), ends))
        seen = []
        for place in range(CONVOLUTION_WIDTH):
            same = ops.equal(numbers[:, place : place + sequence], padding_mask)
            there = ops.logical_and(same, ops.not_equal(padding_mask, 0))
            vectors = padded[:, place : place + sequence]
            seen.append(ops.where(there[..., None], vectors, ops.zeros_like(vectors)))
        return ops.concatenate(seen, axis=-1)


@keras.saving.register_keras_serializable("kbert")
class BagBlock(_ResidualBlock):
    """LayerNorm(x + activation(W [x; mean] + b)) with the mean of the sequence's vectors: attention
    that looks at all tokens alike, and knows no order."""

    num_vectors = 2

    def context(self, x, padding_mask):
        """(batch, sequence, 2 x hidden): each token and the mean of what it sees."""
        seen = ops.cast(visible(padding_mask, self.direction)[:, 0], "float32")
        shares = seen / ops.maximum(ops.sum(seen, axis=-1, keepdims=True), 1.0)
        mean = ops.matmul(ops.cast(shares, x.dtype), x)
        return ops.concatenate([x, mean], axis=-1)


def _starts(padding_mask):
    """Where a sequence begins: booleans (batch, sequence)."""
    before = ops.pad(padding_mask[:, :-1], ((0, 0), (1, 0)))
    return ops.not_equal(padding_mask, before)
