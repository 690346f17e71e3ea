"""BertAdam on TensorFlow, with one kernel a weight."""

import keras
import tensorflow as tf

from kbert.training.optimizers import BertAdam


@keras.saving.register_keras_serializable("kbert")
class FusedBertAdam(BertAdam):
    """BertAdam whose update passes over a weight, its mean and its square once, in place.

    The formula is the same. With c and d for what the running mean and square hold by now (1
    without bias correction), mean / c / (sqrt(square / d) + epsilon) is
    sqrt(d) / c x mean / (sqrt(square) + sqrt(d) x epsilon), which is TensorFlow's kernel for Adam.
    """

    def _move(self, variable, mean, square, gradient, learning_rate):
        weight = variable.value if isinstance(variable, keras.Variable) else variable
        mean_share, square_share = self._shares(weight.dtype)
        root = tf.sqrt(tf.cast(square_share, weight.dtype))
        if self._decays(weight):
            weight.assign_sub(learning_rate * self.decay * weight)
        tf.raw_ops.ResourceApplyAdam(
            var=weight.handle,
            m=mean.value.handle,
            v=square.value.handle,
            # Of this kernel's own bias correction: none.
            beta1_power=tf.zeros((), weight.dtype),
            beta2_power=tf.zeros((), weight.dtype),
            lr=learning_rate * root / mean_share,
            beta1=tf.cast(self.beta_1, weight.dtype),
            beta2=tf.cast(self.beta_2, weight.dtype),
            epsilon=root * self.epsilon,
            grad=gradient,
        )
