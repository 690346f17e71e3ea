"""A checkpoint in the exported form that is asked for."""

import contextlib
import os
import pathlib
from collections.abc import Iterator

import keras

from kbert.checkpoints.formats import load_any, pooling_of
from kbert.serving.assets import check_version
from kbert.serving.settings import ExportSettings


def export(
    output: str | os.PathLike, checkpoint: str | os.PathLike, settings: ExportSettings
) -> pathlib.Path:
    """Write OUTPUT/VERSION, whole or not at all, and return it.

    Args:
        checkpoint: a folder of any format, or a model's name on a hub.

    Raises `DataError` as `load_any`, `export_saved_model` and `export_onnx`.
    """
    check_version(output, settings.version)  # Before the model is loaded, which takes seconds.
    with _computing_in(settings.dtype):
        loaded, pooling = load_any(checkpoint), pooling_of(checkpoint)
        common = (settings.version, settings.answers, settings.top, pooling)
        if settings.format == "onnx":
            from kbert.serving.onnx.export import export_onnx

            return export_onnx(output, loaded, *common, int8=settings.int8)
        from kbert.serving.export import export_saved_model

        return export_saved_model(output, loaded, *common)


@contextlib.contextmanager
def _computing_in(dtype: str) -> Iterator[None]:
    """Models built in the block compute in a type and keep their weights in it: no call casts."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
