"""The versions of an exported model: folders named 1, 2, 3 ..."""

import os
import pathlib

from kbert.errors import DataError


def is_export(path: str | os.PathLike) -> bool:
    """Whether a folder is a SavedModel, or holds versions of one."""
    path = pathlib.Path(path)
    return any(path.glob("saved_model.pb")) or any(path.glob("*/saved_model.pb"))


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
