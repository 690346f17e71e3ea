"""A dense layer that multiplies all tokens of a batch in one matrix product."""

import keras
from keras import ops

from kbert.layers.bias import add_bias


@keras.saving.register_keras_serializable("kbert")
class TokenDense(keras.layers.Dense):
    """`keras.layers.Dense` on (batch, sequence, width), as one product (batch x sequence, width).

    The same numbers. But Keras's layer returns to three axes before it adds the bias, and across
    that TensorFlow cannot melt product, bias and activation into one kernel on a CPU: GELU alone
    then takes longer than the product in bfloat16.
    """

    def call(self, inputs, training=False):
        *axes, width = ops.shape(inputs)
        flat = ops.matmul(ops.reshape(inputs, (-1, width)), self.kernel)
        if self.use_bias:
            flat = add_bias(flat, self.bias)
        # An activation that is a layer (`Gelu`) takes `training` from this call.
        return ops.reshape(self.activation(flat), (*axes, self.units))
