"""Dropout whose random numbers are computed where they are used."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("kbert")
class Dropout(keras.layers.Dropout):
    """Sets a share of the values to 0 in training and scales up the rest, as Keras's own does.

    Whether a value is kept is a hash of the seed and of its place: a few operations on whole
    numbers, which XLA fuses into what is around them. The backends' own generators write all their
    numbers to memory, and compiled by XLA on a CPU take a hundred times as long.
    """

    def call(self, inputs, training=False):
        dropped = round(self.rate * 2**32)
        if not training or dropped == 0:
            return inputs
        if dropped == 2**32:
            return ops.zeros_like(inputs)
        *rest, last = ops.shape(inputs)
        flat = ops.reshape(inputs, (-1, last))
        bits = self._random_bits(ops.shape(flat)[0], last)
        kept = bits >= ops.convert_to_tensor(dropped, "uint32")
        scaled = flat * ops.cast(1 / (1 - self.rate), inputs.dtype)
        return ops.reshape(ops.where(kept, scaled, ops.zeros_like(scaled)), (*rest, last))

    def _random_bits(self, num_rows, num_columns):
        """uint32 (num_rows, num_columns), others at each call."""
        generator, draw = ops.unstack(ops.cast(self.seed_generator.next(), "uint32"), 2)
        key = ops.bitwise_xor(_mixed(generator), draw)
        # A row's number is mixed before it meets the key: else two keys that differ in few bits
        # would give the same rows in another order.
        rows = _mixed(ops.bitwise_xor(_mixed(_numbers(num_rows)), _mixed(key)))
        columns = _mixed(_numbers(num_columns))
        return _mixed(ops.bitwise_xor(rows[:, None], columns))


def _numbers(count):
    # TensorFlow has no range of unsigned numbers.
    return ops.cast(ops.arange(count, dtype="int32"), "uint32")


def _mixed(x):
    """uint32 -> uint32, one to one; a bit that changes turns each bit of the result half the time.

    "lowbias32" of https://github.com/skeeto/hash-prospector.
    """
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x = ops.bitwise_xor(x, ops.right_shift(x, shift))
        x = x * ops.convert_to_tensor(factor, "uint32")
    return ops.bitwise_xor(x, ops.right_shift(x, 16))
