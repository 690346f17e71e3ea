"""Answers from an exported SavedModel, without Keras: TensorFlow and tensorflow-text are enough.

The graph does the work, so the answers are those that TensorFlow Serving gives to the same request.
"""

import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

# Imported for the tokenizer's operations, which TensorFlow alone does not know.
import tensorflow_text  # noqa: F401

from kbert.errors import DataError
from kbert.serving.index import check_index
from kbert.serving.instances import FIELDS, batches, parse_instances, tensors

SIGNATURE = "serving_default"


class Predictor:
    """The model in an exported folder, ready to answer; many threads may call it at once.

    Args:
        path: what `export_saved_model` was given (the newest version is loaded), or one version.
        batch_size: texts computed together.

    Attributes:
        fields: what an instance has: ("text",), ("text", "second"), or ("context", "question",
            "choices").
        outputs: the names in an answer.
        version: the number of the loaded version; 1 for a folder whose name is no number.

    Raises `DataError` where there is no SavedModel that takes text.
    """

    def __init__(self, path: str | os.PathLike, batch_size: int = 64):
        if batch_size < 1:
            raise DataError(f"A batch size must be at least 1. Received: {batch_size}.")
        self.batch_size = batch_size
        folder = newest_version(path)
        check_index(folder)
        self.version = int(folder.name) if folder.name.isdecimal() else 1
        try:
            # Kept: its variables live as long as it does.
            self._loaded = tf.saved_model.load(str(folder))
        except (OSError, ValueError, tf.errors.OpError) as error:
            reason = str(error).splitlines()[0]
            raise DataError(f"{folder} is not a SavedModel that can be loaded: {reason}") from error
        self.fields = text_fields(self._loaded, folder)
        self._signature = self._loaded.signatures[SIGNATURE]
        # Sorted: TensorFlow gives them in another order in every process.
        self.outputs = tuple(sorted(self._signature.structured_outputs))

    def predict(self, instances: Sequence[str | Mapping]) -> list[dict]:
        """The answer to each instance, in order: the graph's outputs by name, ready for JSON.

        Args:
            instances: texts, or {"text": ...}; for a task on pairs {"text": ..., "second": ...};
                for multiple choice {"context": ..., "question": ..., "choices": [...]}, maybe
                without the question.

        Raises `DataError` for an instance that is something else, naming it by its number.
        """
        rows = parse_instances(instances, self.fields)
        answers: list[dict] = [{}] * len(rows)
        for numbers in batches(rows, self.batch_size):
            strings = tensors([rows[number] for number in numbers], self.fields)
            found = self._signature(**strings)
            outputs = {name: as_json(found[name]) for name in self.outputs}
            for row, number in enumerate(numbers):
                answers[number] = {name: values[row] for name, values in outputs.items()}
        return answers


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


def text_fields(loaded, folder: pathlib.Path) -> tuple[str, ...]:
    """The names of the signature's inputs, all of them texts."""
    if SIGNATURE in loaded.signatures:
        specs = loaded.signatures[SIGNATURE].structured_input_signature[1]
        for names in FIELDS:
            if set(names) == set(specs):
                return names
    raise DataError(f"{folder} has no signature {SIGNATURE} that takes text.")


def as_json(output: tf.Tensor) -> list:
    """A tensor (batch, ...) as nested lists; strings decoded."""
    array = output.numpy()
    if array.dtype == object:
        # A client's own text may come back, lone surrogates and all (`as_strings`).
        decode = np.vectorize(lambda value: value.decode("utf-8", "surrogatepass"), otypes=[object])
        return decode(array).tolist()
    return array.tolist()
