"""A bidirectional LSTM over the tokens of each row (Schuster and Paliwal 1997; Graves 2005)."""

import keras
from keras import ops

from kbert.layers.heads import gather
from kbert.layers.lstm import LSTM


@keras.saving.register_keras_serializable("kbert")
class BiLSTM(keras.layers.Layer):
    """[forward state; backward state] of each token, one layer upon the other.

    The backward LSTM reads each row from its last token to its first, not from the end of the
    padding. So no token's state has read padding, and the recurrence needs no mask: Keras's loops,
    cuDNN, XLA and JAX compute the same.

    Args:
        size: width of each direction.
        num_layers: each reads the states of the one below; two in section 5.3 of the BERT paper.

    Call arguments:
        x: (batch, sequence, width).
        padding_mask: integers (batch, sequence), 0 for padding, which stands behind the tokens.

    Returns (batch, sequence, 2 x size); at padding any numbers.
    """

    def __init__(self, size, num_layers=2, **kwargs):
        super().__init__(**kwargs)
        self.size = size
        self.num_layers = num_layers
        self.forward = [self._lstm(f"forward_{index}") for index in range(num_layers)]
        self.backward = [self._lstm(f"backward_{index}") for index in range(num_layers)]

    def _lstm(self, name):
        return LSTM(self.size, dtype=self.dtype_policy, name=name)

    def build(self, input_shape):
        for forward, backward in zip(self.forward, self.backward, strict=True):
            forward.build(input_shape)
            backward.build(input_shape)
            input_shape = (*input_shape[:-1], 2 * self.size)

    def call(self, x, padding_mask):
        for forward, backward in zip(self.forward, self.backward, strict=True):
            behind = _reversed_rows(backward(_reversed_rows(x, padding_mask)), padding_mask)
            x = ops.concatenate([forward(x), behind], axis=-1)
        return x

    def get_config(self):
        return {**super().get_config(), "size": self.size, "num_layers": self.num_layers}


@keras.saving.register_keras_serializable("kbert")
class LastStates(keras.layers.Layer):
    """What both directions know when they have read a row: the forward state of its last token
    beside the backward state of its first.

    Call arguments:
        states: (batch, sequence, 2 x size), of `BiLSTM`.
        padding_mask: integers (batch, sequence), 0 for padding, which stands behind the tokens.

    Returns (batch, 2 x size).
    """

    def call(self, states, padding_mask):
        size = states.shape[-1] // 2
        last = ops.maximum(_lengths(padding_mask) - 1, 0)
        forward = gather(states[:, :, :size], last[:, None])[:, 0]
        return ops.concatenate([forward, states[:, 0, size:]], axis=-1)


def _reversed_rows(x, padding_mask):
    """Each row's tokens from the last to the first; padding stays behind them."""
    places = ops.arange(ops.shape(x)[1], dtype="int32")[None]
    count = _lengths(padding_mask)[:, None]
    return gather(x, ops.where(places < count, count - 1 - places, places))


def _lengths(padding_mask):
    """Tokens of each row, int32 (batch,)."""
    return ops.sum(ops.cast(ops.not_equal(padding_mask, 0), "int32"), axis=1)
