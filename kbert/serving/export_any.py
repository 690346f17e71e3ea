"""An export in the form that is asked for."""

import os
import pathlib

from kbert.checkpoints.directory import Checkpoint
from kbert.checkpoints.sentence_vectors import Pooling
from kbert.serving.settings import ExportSettings


def export(
    path: str | os.PathLike,
    checkpoint: Checkpoint,
    settings: ExportSettings,
    pooling: Pooling | None = None,
) -> pathlib.Path:
    """Write PATH/VERSION, whole or not at all, and return it.

    Raises `DataError` as `export_saved_model` and `export_onnx`.
    """
    common = (settings.version, settings.answers, settings.top, pooling)
    if settings.format == "onnx":
        from kbert.serving.onnx.export import export_onnx

        return export_onnx(path, checkpoint, *common, int8=settings.int8)
    from kbert.serving.export import export_saved_model

    return export_saved_model(path, checkpoint, *common)
