"""The vector of a text, by itself: what similarities are computed from."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from kbert.inference.forward import Forward, forward_of
from kbert.inference.views.base import View, ViewExample
from kbert.tasks.features import Feature

if TYPE_CHECKING:
    # They import Keras, which what was exported runs without.
    from kbert.checkpoints.directory import Checkpoint
    from kbert.checkpoints.sentence_vectors import Pooling


@dataclasses.dataclass(frozen=True)
class Vectors(View):
    """The vector of each text, as `kbert embed --long cut` gives it.

    Args:
        prompt: what is put before every text.
        modes: the outputs that are concatenated.
        finish: what is made of them, (texts, width); None leaves them as they are.
    """

    name: ClassVar[str] = "vectors"

    prompt: str = ""
    modes: tuple[str, ...] = ("mean",)
    finish: Callable[[np.ndarray], np.ndarray] | None = None

    def parse(self, instance: str | Mapping, where: str) -> ViewExample:
        example = super().parse(instance, where)
        return example._replace(text=self.prompt + example.text)

    def decode(
        self, outputs: Sequence[Mapping], example: ViewExample, features: Sequence[Feature]
    ) -> dict:
        """{"embedding": (width,), "cut": whether the text lost its end}."""
        pooled = np.concatenate([outputs[0][mode] for mode in self.modes])
        vector = pooled if self.finish is None else self.finish(pooled[None])[0]
        return {"embedding": np.asarray(vector).tolist(), "cut": features[0].cut}


def vectors_of(pooling: "Pooling", longest: int) -> Vectors:
    """The view with a checkpoint's pooling; `longest`: the tokens that its encoder takes."""
    length = min(pooling.sequence_length or longest, longest)
    return Vectors(length, prompt=pooling.prompt, modes=pooling.modes, finish=pooling.finish)


def vectors_forward(checkpoint: "Checkpoint", pooling: "Pooling") -> Forward:
    """What computes `Vectors`, with a copy of the encoder's weights."""
    from kbert.inference.text_encoder import TextEncoder

    model = TextEncoder(checkpoint, pooling).model
    # The model is held here: what is traced holds it weakly.
    return Forward(lambda inputs: forward_of(model).run(inputs), forward_of(model).compiles_shapes)
