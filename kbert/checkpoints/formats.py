"""Which format a folder with a BERT has, and reading and writing any of them."""

import importlib
import os
import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from kbert.errors import DataError
from kbert.files import read_object

if TYPE_CHECKING:
    from kbert.checkpoints.directory import Checkpoint

# format -> its module (imported when it is needed: two of them load much), reader and writer.
_HOMES = {
    "kbert": ("kbert.checkpoints.directory", "load", "save"),
    "huggingface": (
        "kbert.checkpoints.huggingface.directory",
        "from_huggingface",
        "to_huggingface",
    ),
    "google": ("kbert.checkpoints.google.release", "from_google", "to_google"),
    "keras-hub": ("kbert.checkpoints.keras_hub", "from_keras_hub", "to_keras_hub"),
}
FORMATS = tuple(_HOMES)


def format_of(path: str | os.PathLike) -> str:
    """One of `FORMATS`, by the configuration in the folder. Raises `DataError` for none."""
    path = pathlib.Path(path)
    if (path / "bert_config.json").is_file():
        return "google"
    if not (path / "config.json").is_file():
        raise DataError(
            f"{path} must be a folder with a BERT: config.json (kbert, Hugging Face, keras-hub) or "
            "bert_config.json (Google)."
        )
    fields = read_object(path / "config.json")
    if "format" in fields:
        return "kbert"
    return "keras-hub" if "class_name" in fields else "huggingface"


def reader(name: str) -> Callable[..., "Checkpoint"]:
    """The function that reads a format: path -> Checkpoint."""
    module, read, _ = _HOMES[name]
    return getattr(importlib.import_module(module), read)


def writer(name: str) -> Callable[..., None]:
    """The function that writes a format: path, Checkpoint -> None."""
    module, _, write = _HOMES[name]
    return getattr(importlib.import_module(module), write)


def load_any(path: str | os.PathLike) -> "Checkpoint":
    """Read a folder of any format."""
    return reader(format_of(path))(path)
