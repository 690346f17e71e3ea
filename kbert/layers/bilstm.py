"""A bidirectional LSTM over the tokens of each row (Schuster and Paliwal 1997; Graves 2005)."""

import keras
from keras import ops

from kbert.layers import Tensor
from kbert.layers.dense import TokenDense
from kbert.layers.heads import gather


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
            behind = reversed_rows(backward(reversed_rows(x, padding_mask)), padding_mask)
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


@keras.saving.register_keras_serializable("kbert")
class LSTM(keras.layers.Layer):
    """The state after each token, read from the first to the last, from a state of 0.

    A long short-term memory with a forget gate (Hochreiter and Schmidhuber 1997), the same as
    `keras.layers.LSTM`. But that multiplies each token with the kernel inside its loop, and adds up
    the kernel's gradient there, token by token; here all tokens are multiplied at once before it.
    A training step of a two-layer BiLSTM of Keras's takes 1.6 times the seconds of a processor, 256
    and 768 wide (`benchmarks/kernels.py bilstm_256 bilstm_768`).

    Args:
        size: width of the state.
        packed: whether several sequences may stand in a row.

    Call arguments:
        x: (batch, sequence, width).
        starts: booleans (batch, sequence), of packed rows: before these tokens the state is 0.

    Returns (batch, sequence, size).
    """

    def __init__(self, size, packed=False, **kwargs):
        super().__init__(**kwargs)
        self.size = size
        self.packed = packed
        self.projection = TokenDense(
            4 * size, bias_initializer=_open_forget_gate, dtype=self.dtype_policy, name="projection"
        )
        self.recurrence = keras.layers.RNN(
            (PackedCell if packed else Cell)(size, dtype=self.dtype_policy, name="cell"),
            return_sequences=True,
            dtype=self.dtype_policy,
            name="recurrence",
        )

    def build(self, input_shape):
        self.projection.build(input_shape)
        self.recurrence.build((*input_shape[:-1], 4 * self.size + self.packed))

    def call(self, x, starts=None):
        gates = self.projection(x)
        if self.packed:
            kept = ops.cast(ops.logical_not(starts), gates.dtype)[..., None]
            gates = ops.concatenate([gates, kept], axis=-1)
        return self.recurrence(gates)

    def get_config(self):
        return {**super().get_config(), "size": self.size, "packed": self.packed}


@keras.saving.register_keras_serializable("kbert")
class Cell(keras.layers.Layer):
    """One token's step. Its input is the sum of what the token gives to the four gates.

    Call arguments:
        gates: (batch, 4 x size): input, forget, candidate, output, as in Keras.
        states: the state and the memory before, (batch, size) each.

    Returns the state after it, and both after it.
    """

    def __init__(self, size, **kwargs):
        super().__init__(**kwargs)
        self.output_size = size
        self.state_size = [size, size]

    def build(self, input_shape):
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.output_size, 4 * self.output_size),
            initializer="orthogonal",  # As Keras has it: states neither grow nor die out.
        )

    def call(self, gates, states, training=None):
        state, memory = states
        i, f, c, o = ops.split(gates + ops.matmul(state, self.kernel), 4, axis=-1)
        memory = ops.sigmoid(f) * memory + ops.sigmoid(i) * ops.tanh(c)
        state = ops.sigmoid(o) * ops.tanh(memory)
        return state, [state, memory]

    def get_config(self):
        return {**super().get_config(), "size": self.output_size}


@keras.saving.register_keras_serializable("kbert")
class PackedCell(Cell):
    """The same, with one more number behind the gates: 0 where a sequence begins, which forgets
    the states before it, otherwise 1."""

    def call(self, gates, states, training=None):
        gates, kept = gates[:, :-1], gates[:, -1:]
        return super().call(gates, [kept * state for state in states], training)


def _open_forget_gate(shape, dtype=None):
    """1 for the forget gate, so that memory lasts in the beginning (Jozefowicz et al. 2015)."""
    size = shape[0] // 4
    return ops.concatenate(
        [ops.zeros(size, dtype), ops.ones(size, dtype), ops.zeros(2 * size, dtype)]
    )


def reversed_rows(x: Tensor, padding_mask: Tensor) -> Tensor:
    """Each row's tokens from the last to the first; padding stays behind them.

    (batch, sequence, width), (batch, sequence) -> (batch, sequence, width).
    """
    places = ops.arange(ops.shape(x)[1], dtype="int32")[None]
    count = _lengths(padding_mask)[:, None]
    return gather(x, ops.where(places < count, count - 1 - places, places))


def _lengths(padding_mask):
    """Tokens of each row, int32 (batch,)."""
    return ops.sum(ops.cast(ops.not_equal(padding_mask, 0), "int32"), axis=1)
