"""Models that need no TensorFlow, for tests of the server: an answer is the text and its length."""

from typing import NamedTuple

from kbert.errors import DataError
from kbert.inference.answerer import Answerer
from kbert.inference.forward import Forward
from kbert.serving.models import UnknownModel
from kbert.tasks import base
from kbert.tasks.features import Feature, single_segment


class Task:
    """Texts of at most 100 characters; a longer one is cut."""

    name = "classification"
    sequence_length = 100

    def parse(self, instance, where):
        text = instance.get("text") if isinstance(instance, dict) else instance
        if not isinstance(text, str) or (isinstance(instance, dict) and len(instance) > 1):
            raise DataError(f"{where}: expected a text. Received: {instance!r}.")
        return text

    def encode(self, examples, tokenizer):
        return [
            Feature(single_segment([1] * min(len(t) + 1, 100)), n, {}, {}, len(t) > 100)
            for n, t in enumerate(examples)
        ]

    decode_all = base.Task.decode_all

    def decode(self, outputs, example, features):
        return {"label": example, "score": float(outputs[0]["length"]), "parts": [example, None]}


class Embedding(Task):
    """The same, as an encoder."""

    name = "embedding"

    def decode(self, outputs, example, features):
        return {"embedding": [float(outputs[0]["length"]), 0.5]}


class Predictor(NamedTuple):
    """What a server asks of a model."""

    answerer: Answerer
    version: int = 3
    platform: str = "tensorflow_savedmodel"
    fields: tuple = ("text",)
    example_instance: dict = {"text": "..."}


def predictor(task, forward=None):
    """Of a task above; `forward` from inputs to outputs takes the place of counting tokens."""
    count = forward or (lambda inputs: {"length": inputs["padding_mask"].sum(axis=1)})
    return Predictor(Answerer(task, None, Forward(count)))


class Models:
    """`kbert.serving.models.Models` of predictors that are there already."""

    def __init__(self, **predictors):
        self.predictors = predictors

    @property
    def names(self):
        return list(self.predictors)

    def get(self, name, version=None):
        if name not in self.predictors or version not in (None, self.predictors[name].version):
            raise UnknownModel(f"There is no model {name}.")
        return self.predictors[name]

    def watch(self, seconds):
        pass

    def stop(self):
        pass
