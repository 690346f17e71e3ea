"""How much each token looks at each other one, in every head of every layer."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from kbert.checkpoints.directory import Checkpoint, copy_weights
from kbert.checkpoints.weights import model_weights
from kbert.inference.forward import Forward, forward_of
from kbert.inference.views.base import View, ViewExample
from kbert.models import blocks, build_encoder
from kbert.tasks.features import Feature

# More are no picture that one can read, and an answer of many megabytes.
MOST_TOKENS = 64
# Decimals in an answer: a picture shows no more.
_DIGITS = 3


@dataclasses.dataclass(frozen=True)
class AttentionScores(View):
    """Attention is not an explanation: a token with a high score need not matter to the answer
    (arXiv 1902.10186)."""

    name: ClassVar[str] = "attention"

    def decode(
        self, outputs: Sequence[Mapping], example: ViewExample, features: Sequence[Feature]
    ) -> dict:
        """The tokens, and "attention": (layers, heads, query, key)."""
        length = features[0].length
        scores = outputs[0]["attention"][:, :, :length, :length].astype("float64")
        answer = super().decode(outputs, example, features)
        return answer | {"attention": np.round(scores, _DIGITS).tolist()}


def attention_forward(checkpoint: Checkpoint) -> Forward:
    """What computes `AttentionScores`, with a copy of the encoder's weights."""
    import keras
    from keras import ops

    encoder = build_encoder(checkpoint.config, ("attention_scores",))
    # A task with features of lower layers lacks those above them.
    found = {name.split("/")[0] for name in model_weights(checkpoint.model)}
    there = sum(layer.name in found for layer in blocks(encoder))
    # (batch, layers, heads, query, key)
    scores = ops.stack(encoder.output["attention_scores"][:there], axis=1)
    model = keras.Model(encoder.input, {"attention": scores})
    copy_weights(checkpoint.model, model)
    # The model is held here: what is traced holds it weakly.
    return Forward(lambda inputs: forward_of(model).run(inputs), forward_of(model).compiles_shapes)
