"""A checkpoint in the exported form that is asked for."""

import os
import pathlib

from kbert.checkpoints.formats import load_any, pooling_of
from kbert.engine.precision import dtype_policy
from kbert.errors import DataError
from kbert.serving.assets import check_version
from kbert.serving.settings import ExportSettings
from kbert.serving.versions import ONNX_NEEDS


def export(
    output: str | os.PathLike, checkpoint: str | os.PathLike, settings: ExportSettings
) -> pathlib.Path:
    """Write OUTPUT/VERSION, whole or not at all, and return it.

    Args:
        checkpoint: a folder of any format, or a model's name on a hub.

    Raises `DataError` as `load_any`, `export_saved_model` and `export_onnx`.
    """
    check_version(output, settings.version)  # Before the model is loaded, which takes seconds.
    # Weights have the type that they are computed in: nothing is cast at a call.
    with dtype_policy(settings.dtype):
        loaded, pooling = load_any(checkpoint), pooling_of(checkpoint)
        common = (settings.version, settings.answers, settings.top, pooling)
        if settings.format == "onnx":
            try:
                from kbert.serving.onnx.export import export_onnx
            except ModuleNotFoundError as error:
                raise DataError(f"An ONNX export needs {error.name}: {ONNX_NEEDS}.") from error

            return export_onnx(output, loaded, *common, int8=settings.int8)
        from kbert.serving.export import export_saved_model

        return export_saved_model(output, loaded, *common)
