"""A fine-tuned model in either of its forms: what `finetune` kept, or what was exported."""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kbert.checkpoints.hubs import folder_of
from kbert.errors import DataError
from kbert.inference.answerer import Answerer
from kbert.inference.fill_mask import mask_filler
from kbert.serving.versions import is_export
from kbert.tensorflow_start import start_backend

if TYPE_CHECKING:
    from kbert.serving.served import Served


def predict(
    path: str | os.PathLike,
    instances: Sequence[str | Mapping],
    batch_size: int = 64,
    precision: str = "float32",
) -> list[dict]:
    """The answer of the model in a folder to each instance, in order: `kbert predict` in Python.

    Who asks more than once keeps `load_answerer(path)`, and calls its `predict`.

    Args:
        path: of what `finetune` or `export_saved_model` wrote, or a fine-tuned model's name on a
            hub (hf:OWNER/NAME).
        instances: texts, or what else the task takes: {"text": ..., "second": ...} for pairs,
            {"question": ..., "context": ...}, {"context": ..., "choices": [...]}.
        batch_size, precision: as in `load_answerer`.

    Raises DataError for a folder of another kind, and for an instance that the task does not take.
    """
    return load_answerer(path, batch_size, precision).predict(instances)


def load_answerer(
    path: str | os.PathLike, batch_size: int = 64, precision: str = "float32"
) -> Answerer:
    """What answers with the model in a folder. Raises DataError for a folder of another kind.

    Args:
        batch_size: texts computed together, at most.
        precision: "float32" or "bfloat16", of a checkpoint; what was exported has its own.
    """
    folder = folder_of(path)
    if is_export(folder):
        if precision != "float32":
            raise DataError(f"{folder} was exported: it computes in the precision that it has.")
        return _load_export(folder, batch_size)
    start_backend()
    return _load_checkpoint(folder, batch_size, precision)


def load_served(path: str | os.PathLike) -> "Served":
    """What a server answers with from a folder in either form. Raises `DataError` for neither."""
    folder = folder_of(path)
    if is_export(folder):
        from kbert.serving.predictor import Predictor

        return Predictor(folder)
    from kbert.serving.served_checkpoint import ServedCheckpoint

    return ServedCheckpoint(folder)


def load_mask_filler(path: str | os.PathLike, top: int) -> Answerer:
    """What fills masks with the model in a folder: a checkpoint of any format, or an export.

    `top` is how many pieces a checkpoint gives for each; an export gives as many as it was told.
    """
    folder = folder_of(path)
    if is_export(folder):
        from kbert.serving.predictor import Predictor

        return Predictor(folder).answerer
    start_backend()
    from kbert.checkpoints.formats import load_any

    return mask_filler(load_any(folder), top)


def _load_checkpoint(folder: pathlib.Path, batch_size: int, precision: str) -> Answerer:
    # Needs Keras, but TensorFlow for the tokenizer only.
    from kbert.checkpoints.formats import load_finetuned
    from kbert.engine.precision import dtype_policy

    with dtype_policy(precision):
        checkpoint = load_finetuned(folder)
    return Answerer(checkpoint.task, checkpoint.tokenizer, checkpoint.model, batch_size)


def _load_export(folder: pathlib.Path, batch_size: int) -> Answerer:
    # Needs TensorFlow or ONNX Runtime, but neither Keras nor tensorflow-text.
    from kbert.serving.predictor import Predictor
    from kbert.tasks import TASKS

    answerer = Predictor(folder, batch_size).answerer
    if answerer.task.name not in TASKS:
        raise DataError(f"{folder} is not fine-tuned: it answers {answerer.task.name}.")
    return answerer
