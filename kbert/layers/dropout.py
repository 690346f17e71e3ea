"""Dropout that spends 16 random bits on a value, not 32."""

import keras
from keras import ops

_LEVELS = 2**16


@keras.saving.register_keras_serializable("kbert")
class Dropout(keras.layers.Dropout):
    """Sets a share of the values to 0 in training and scales up the rest, as Keras's own does.

    Random numbers are a tenth of a training step on a CPU. Each one drawn here serves two values,
    so that the rate is a multiple of 1 / 65536; what is kept is scaled by just that rate.
    """

    def call(self, inputs, training=False):
        dropped = round(self.rate * _LEVELS)
        if not training or dropped == 0:
            return inputs
        *rest, last = ops.shape(inputs)
        half = (last + 1) // 2
        words = keras.random.randint(
            (*rest, half), -(2**31), 2**31 - 1, dtype="int32", seed=self.seed_generator
        )
        low, high = ops.bitwise_and(words, _LEVELS - 1), ops.right_shift(words, 16)
        # The shift keeps the sign: the upper half counts from -32768.
        kept = ops.concatenate([low >= dropped, high >= dropped - _LEVELS // 2], axis=-1)
        scale = ops.cast(_LEVELS / max(_LEVELS - dropped, 1), inputs.dtype)
        return ops.where(kept[..., :last], inputs * scale, ops.cast(0, inputs.dtype))
