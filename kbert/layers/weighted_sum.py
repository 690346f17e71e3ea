"""A learned sum of hidden layers (arXiv 1802.05365, equation 1; BERT paper, table 7)."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("kbert")
class WeightedSum(keras.layers.Layer):
    """gamma sum_j softmax(w)_j h_j: one learned number a layer, and one for all; first their mean.

    Args:
        num_layers: how many layers stand side by side in the input.

    Call arguments:
        x: (batch, sequence, num_layers x hidden).

    Returns (batch, sequence, hidden).
    """

    def __init__(self, num_layers, **kwargs):
        super().__init__(**kwargs)
        self.num_layers = num_layers

    def build(self, input_shape):
        if input_shape[-1] % self.num_layers:
            raise ValueError(
                "The width of the input must be a multiple of `num_layers`. "
                f"Received: width {input_shape[-1]}, num_layers={self.num_layers}."
            )
        self.weight = self.add_weight(name="w", shape=(self.num_layers,), initializer="zeros")
        self.gamma = self.add_weight(name="gamma", shape=(), initializer="ones")

    def call(self, x):
        batch, sequence, width = ops.shape(x)
        layers = ops.reshape(x, (batch, sequence, self.num_layers, width // self.num_layers))
        weights = ops.softmax(self.weight)[:, None]  # (layers, 1)
        return self.gamma * ops.sum(weights * layers, axis=2)

    def get_config(self):
        return {**super().get_config(), "num_layers": self.num_layers}
