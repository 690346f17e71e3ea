"""The mean of several models' outputs."""

import math

import keras
from keras import ops


@keras.saving.register_keras_serializable("kbert")
class MeanOfOutputs(keras.layers.Layer):
    """Logits whose probabilities are the mean of those of several logits; or the mean of numbers.

    Args:
        link: what makes probabilities of them: "softmax" over the last axis, "sigmoid", or
            "identity" for numbers.

    Call arguments:
        outputs: tensors of one shape.

    Returns float32 of that shape.
    """

    def __init__(self, link, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.link = link

    def call(self, outputs):
        count, outputs = len(outputs), ops.stack(outputs)
        if self.link == "identity":
            return ops.mean(outputs, axis=0)
        if self.link == "softmax":
            return ops.logsumexp(ops.log_softmax(outputs), axis=0) - math.log(count)
        yes, no = (ops.logsumexp(ops.log_sigmoid(x), axis=0) for x in (outputs, -outputs))
        return yes - no

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def get_config(self):
        return {**super().get_config(), "link": self.link}
