"""What stands in every export beside its graph: the files that describe the model."""

import os
import pathlib
from typing import Any

from kbert.checkpoints.directory import Checkpoint
from kbert.errors import DataError
from kbert.files import check_folder_writable, write_json
from kbert.serving.settings import ExportSettings
from kbert.text.vocabulary import save_vocabulary


def check_version(path: str | os.PathLike, version: int) -> pathlib.Path:
    """The folder PATH/VERSION. Raises `DataError` unless it can be written."""
    ExportSettings(version)  # Checks it.
    target = pathlib.Path(path) / str(version)
    if target.exists():
        raise DataError(f"{target} is already there. Export under another --version.")
    check_folder_writable(path)
    return target


def write_assets(folder: pathlib.Path, checkpoint: Checkpoint, task: Any) -> list[pathlib.Path]:
    """Write the files that describe the model; they are named as in a checkpoint directory."""
    save_vocabulary(folder / "vocab.txt", checkpoint.tokenizer.vocabulary)
    settings = {"encoder": checkpoint.config.to_dict(), "tokenizer": checkpoint.tokenizer.options}
    write_json(folder / "config.json", settings)
    write_json(folder / "task.json", {"name": task.name, **task.to_json()})
    return sorted(folder.iterdir())
