"""BertAdam on TensorFlow, with one pass over each weight."""

import keras
import tensorflow as tf

from kbert.engine.optimizers import BertAdam


@keras.saving.register_keras_serializable("kbert")
class FusedBertAdam(BertAdam):
    """BertAdam whose update passes over a weight, its mean and its square once, in place.

    The formula is the same. Op by op it is a dozen passes over memory, which take longer than
    reading the weights in a step.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        # One program for all weights of a shape, on all devices.
        self._decayed = tf.function(self._adam_with_decay, jit_compile=True, autograph=False)

    def _move(self, variable, mean, square, gradient, scale, learning_rate):
        weight = variable.value if isinstance(variable, keras.Variable) else variable
        shares = [tf.cast(share, weight.dtype) for share in self._shares(weight.dtype)]
        update = self._decayed if self._decays(weight) else self._adam
        mean, square = _copy_beside(weight, mean), _copy_beside(weight, square)
        update(weight, mean, square, gradient, scale, learning_rate, *shares)

    def _adam_with_decay(
        self, weight, mean, square, gradient, scale, rate, mean_share, square_share
    ):
        gradient = gradient * scale
        mean.assign_add((gradient - mean) * (1 - self.beta_1))
        square.assign_add((tf.square(gradient) - square) * (1 - self.beta_2))
        step = mean / mean_share / (tf.sqrt(square / square_share) + self.epsilon)
        weight.assign_sub(rate * (step + self.decay * weight))

    def _adam(self, weight, mean, square, gradient, scale, rate, mean_share, square_share):
        """TensorFlow's own kernel: the small weights, which do not decay, are not worth a program.

        With c and d for the shares, mean / c / (sqrt(square / d) + epsilon) is
        sqrt(d) / c x mean / (sqrt(square) + sqrt(d) x epsilon), as the kernel has it.
        """
        root = tf.sqrt(square_share)
        tf.raw_ops.ResourceApplyAdam(
            var=weight.handle,
            m=mean.handle,
            v=square.handle,
            # Of the kernel's own bias correction: none.
            beta1_power=tf.zeros((), weight.dtype),
            beta2_power=tf.zeros((), weight.dtype),
            lr=rate * root / mean_share,
            beta1=tf.cast(self.beta_1, weight.dtype),
            beta2=tf.cast(self.beta_2, weight.dtype),
            epsilon=root * self.epsilon,
            grad=gradient * scale,
        )


def _copy_beside(weight: tf.Variable, variable: keras.Variable) -> tf.Variable:
    """A variable's copy on the device of a weight's copy.

    A traced function does not tell the copies of a mirrored variable apart: given the variable
    itself, the update of the second device would move the first one's copy once more.
    """
    copies = tf.distribute.get_strategy().experimental_local_results(variable.value)
    return next(copy for copy in copies if copy.device == weight.device)
