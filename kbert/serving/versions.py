"""The versions of an exported model: folders named 1, 2, 3 ..."""

import os
import pathlib

from kbert.errors import DataError

# The file that makes a folder an export: of a SavedModel, of an ONNX export.
SAVED_MODEL, ONNX_MODEL = "saved_model.pb", "model.onnx"
# Where a package of the second kind is missing.
ONNX_NEEDS = 'pip install "kbert[onnx]"'


def is_export(path: str | os.PathLike) -> bool:
    """Whether a folder is an export, or holds versions of one."""
    path = pathlib.Path(path)
    return _holds_model(path) or any(map(_holds_model, _versions(path)))


def is_onnx(path: str | os.PathLike) -> bool:
    """Whether a folder is an ONNX export, or the newest version in it is one."""
    return is_export(path) and (newest_version(path) / ONNX_MODEL).is_file()


def _holds_model(folder: pathlib.Path) -> bool:
    return any((folder / name).is_file() for name in (SAVED_MODEL, ONNX_MODEL))


def _versions(path: pathlib.Path) -> list[pathlib.Path]:
    return [folder for folder in path.glob("*") if folder.name.isdecimal()]


def newest_version(path: str | os.PathLike) -> pathlib.Path:
    """The folder of the export: PATH itself, or the highest number in it."""
    path = pathlib.Path(path)
    if _holds_model(path):
        return path
    found = [folder for folder in _versions(path) if _holds_model(folder)]
    if not found:
        raise DataError(
            f"{path} must be what `kbert export` wrote: a folder with {SAVED_MODEL} or "
            f"{ONNX_MODEL} in it, or with such folders named 1, 2, 3 ..."
        )
    return max(found, key=lambda folder: int(folder.name))
