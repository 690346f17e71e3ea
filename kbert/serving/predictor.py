"""Answers from an exported SavedModel, without Keras: TensorFlow and tensorflow-text are enough.

The graph computes the model's outputs, and the task in the export's assets reads texts and decodes
outputs as everywhere else: the answers are those of the checkpoint that was exported.
"""

import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

# Imported for the tokenizer's operations, which TensorFlow alone does not know.
import tensorflow_text  # noqa: F401

from kbert.errors import DataError
from kbert.files import read_object
from kbert.inference.answerer import Answerer, checked_instances
from kbert.inference.answering import predict_features
from kbert.inference.forward import Forward
from kbert.serving.index import check_index
from kbert.tasks import TASKS
from kbert.tasks.features import Feature
from kbert.tasks.texts import parse_texts, tokenize
from kbert.text.tokenizer import WordPieceTokenizer

# The signatures of an export: what TensorFlow Serving answers strings with, and what the model
# gives for integers, before anything is decoded.
SIGNATURE = "serving_default"
MODEL_OUTPUTS = "model_outputs"


class Predictor:
    """The model in an exported folder, ready to answer; many threads may call it at once.

    Args:
        path: what `export_saved_model` was given (the newest version is loaded), or one version.
        batch_size: texts computed together, at most.

    Attributes:
        fields: what an instance has: ("text",), ("text", "second"), or ("context", "question",
            "choices").
        version: the number of the loaded version; 1 for a folder whose name is no number.
        answerer: what answers; None for an encoder.

    Raises `DataError` where there is no SavedModel that `kbert export` wrote.
    """

    def __init__(self, path: str | os.PathLike, batch_size: int = 64):
        if batch_size < 1:
            raise DataError(f"A batch size must be at least 1. Received: {batch_size}.")
        folder = newest_version(path)
        check_index(folder)
        self.version = int(folder.name) if folder.name.isdecimal() else 1
        try:
            # Kept: its variables live as long as it does.
            self._loaded = tf.saved_model.load(str(folder))
        except (OSError, ValueError, tf.errors.OpError) as error:
            reason = str(error).splitlines()[0]
            raise DataError(f"{folder} is not a SavedModel that can be loaded: {reason}") from error
        if MODEL_OUTPUTS not in self._loaded.signatures:
            raise DataError(
                f"{folder} has no signature {MODEL_OUTPUTS}: expected what `kbert export` writes."
            )
        signature = self._loaded.signatures[MODEL_OUTPUTS]
        self._batch_size = batch_size
        self._forward = Forward(lambda inputs: _as_arrays(signature(**_as_tensors(inputs))))
        settings = read_object(folder / "assets" / "config.json")
        self._tokenizer = WordPieceTokenizer(
            folder / "assets" / "vocab.txt", **settings["tokenizer"]
        )
        self._sequence_length = settings["encoder"]["max_sequence_length"]
        self.fields: tuple[str, ...] = ("text",)
        self.answerer = None
        if (folder / "assets" / "task.json").is_file():
            values = read_object(folder / "assets" / "task.json")
            task = TASKS[values["name"]].from_json(values)
            self.fields = task.instance_fields
            self.answerer = Answerer(task, self._tokenizer, self._forward, batch_size)

    @property
    def example_instance(self) -> dict:
        """An instance to show, and to try."""
        return {name: ["...", "..."] if name == "choices" else "..." for name in self.fields}

    def predict(self, instances: Sequence[str | Mapping]) -> list[dict]:
        """The answer to each instance, in order, ready for JSON.

        Of an encoder an answer has `sequence_output` (tokens, hidden) and `pooled_output`
        (hidden,).

        Args:
            instances: what the task takes: texts, or {"text": ...}; for a task on pairs {"text":
                ..., "second": ...}; for multiple choice {"context": ..., "question": ...,
                "choices": [...]}, maybe without the question.

        Raises `DataError` for an instance that is something else, naming it by its number.
        """
        if self.answerer is not None:
            return self.answerer.predict(instances)
        texts = [
            parse_texts(instance, self.fields, where)["text"]
            for where, instance in checked_instances(instances)
        ]
        rows, _ = tokenize(self._tokenizer, texts, None, self._sequence_length)
        features = [Feature(row, number, {}, {}) for number, row in enumerate(rows)]
        outputs = predict_features(self._forward, features, self._batch_size, self._sequence_length)
        return [
            {
                "sequence_output": found["sequence_output"][: feature.length].tolist(),
                "pooled_output": found["pooled_output"].tolist(),
            }
            for feature, found in zip(features, outputs, strict=True)
        ]


def newest_version(path: str | os.PathLike) -> pathlib.Path:
    """The folder of the SavedModel: PATH itself, or the highest number in it."""
    path = pathlib.Path(path)
    if (path / "saved_model.pb").is_file():
        return path
    found = [file.parent for file in path.glob("*/saved_model.pb") if file.parent.name.isdecimal()]
    if not found:
        raise DataError(
            f"{path} must be what `kbert export` wrote: a folder with saved_model.pb in it, or "
            "with such folders named 1, 2, 3 ..."
        )
    return max(found, key=lambda folder: int(folder.name))


def _as_tensors(inputs: Mapping[str, np.ndarray]) -> dict[str, tf.Tensor]:
    return {name: tf.constant(values) for name, values in inputs.items()}


def _as_arrays(outputs: Mapping[str, tf.Tensor]) -> dict[str, np.ndarray]:
    return {name: found.numpy() for name, found in outputs.items()}
