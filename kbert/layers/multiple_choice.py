"""Multiple choice: a row's sequences folded into the batch for the encoder, and back."""

import keras
from keras import ops

from kbert.layers import IMPOSSIBLE


@keras.saving.register_keras_serializable("kbert")
class FoldChoices(keras.layers.Layer):
    """(batch, choices, sequence) -> (batch * choices, sequence)."""

    def call(self, inputs):
        return ops.reshape(inputs, (-1, ops.shape(inputs)[-1]))


@keras.saving.register_keras_serializable("kbert")
class ChoiceScores(keras.layers.Layer):
    """One score a choice; a row with fewer choices than others has padding in their place.

    Call arguments:
        scores: (batch * choices, 1).
        padding_mask: int (batch, choices, sequence); 0 throughout where there is no choice.

    Returns float32 (batch, choices): the scores, `IMPOSSIBLE` where there is no choice.
    """

    def __init__(self, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})

    def call(self, scores, padding_mask):
        there = ops.any(ops.not_equal(padding_mask, 0), axis=-1)
        return ops.where(there, ops.reshape(scores, ops.shape(there)), IMPOSSIBLE)
