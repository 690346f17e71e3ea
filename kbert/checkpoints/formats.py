"""Which format a folder with a BERT has, and reading and writing any of them: the checkpoint, and
how a text's vector is made of it."""

import importlib
import os
import pathlib
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from kbert.checkpoints.hubs import folder_of
from kbert.errors import DataError
from kbert.files import current, is_there, read_object

if TYPE_CHECKING:
    from kbert.checkpoints.directory import Checkpoint
    from kbert.checkpoints.sentence_vectors import Pooling

# format -> its module (imported when it is needed: two of them load much), reader and writer.
_CHECKPOINTS = {
    "kbert": ("directory", "load", "save"),
    "huggingface": ("huggingface.directory", "from_huggingface", "to_huggingface"),
    "google": ("google.release", "from_google", "to_google"),
    "keras-hub": ("keras_hub", "from_keras_hub", "to_keras_hub"),
}
FORMATS = tuple(_CHECKPOINTS)
# What may be meant as a model's name.
_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
# Read as one model, which has its members' formats.
_ENSEMBLE = "ensemble"
ENSEMBLE_INDEX = "ensemble.json"  # In the folder of one.
_READ_ONLY = {_ENSEMBLE: ("ensemble", "load_ensemble")}
# The same of those that say how a text's vector is made.
_POOLINGS = {
    "kbert": ("sentence_vectors", "read_pooling", "write_pooling"),
    "huggingface": (
        "huggingface.sentence_transformers",
        "read_sentence_transformers",
        "write_sentence_transformers",
    ),
}


def format_of(path: str | os.PathLike) -> str:
    """One of `FORMATS`, or "ensemble", by the configuration in the folder.

    Raises `DataError` for none.
    """
    path = folder_of(path)
    _check_folder(path)
    if current(path, ENSEMBLE_INDEX).is_file():
        return _ENSEMBLE
    config = current(path, "config.json")
    # Some folders of Hugging Face hold Google's description beside their own.
    if (path / "bert_config.json").is_file():
        if any(path.glob("*.index")) or not config.is_file():
            return "google"
    if not config.is_file() and (path / "modules.json").is_file():
        return "huggingface"
    if not config.is_file():
        raise DataError(
            f"{path} must be a folder with a BERT: config.json (kbert, Hugging Face, keras-hub) or "
            f"bert_config.json (Google).{_further_in(path)}"
        )
    fields = read_object(config)
    if "format" in fields:
        return "kbert"
    return "keras-hub" if "class_name" in fields else "huggingface"


def _check_folder(path: pathlib.Path) -> None:
    """Raise `DataError` if there is no such folder."""
    if not is_there(path):
        hint = f" (of Hugging Face's hub: hf:{path})" if _NAME.fullmatch(str(path)) else ""
        raise DataError(f"There is no folder {path}{hint}.")
    if not path.is_dir():
        raise DataError(f"{path} must be a folder with a BERT. Received: a file.")


def _further_in(path: pathlib.Path) -> str:
    """Where a folder holds a model, as a run that has not ended holds its saves."""
    configs = [config for depth in ("*", "*/*") for config in path.glob(f"{depth}/config.json")]
    # The assets are those of an export.
    found = [config.parent for config in configs if config.parent.name != "assets"]
    return f" There is one in {max(found)}." if found else ""


def reader(name: str) -> Callable[..., "Checkpoint"]:
    """The function that reads a format: path -> Checkpoint."""
    return _function((_CHECKPOINTS | _READ_ONLY)[name], 1)


def writer(name: str) -> Callable[..., None]:
    """The function that writes a format: path, Checkpoint -> None."""
    return _function(_CHECKPOINTS[name], 2)


def load_any(path: str | os.PathLike) -> "Checkpoint":
    """Read a folder of any format, or a model of a hub by its name."""
    return reader(format_of(path))(path)


def load_finetuned(path: str | os.PathLike) -> "Checkpoint":
    """Read a fine-tuned model of any format. Raises `DataError` for one without a task."""
    checkpoint = load_any(path)
    if checkpoint.task is None:
        raise DataError(f"{path} is not fine-tuned: expected what `kbert finetune` wrote.")
    return checkpoint


def pooling_of(path: str | os.PathLike) -> "Pooling | None":
    """How the vector of a text is made, if the folder says it."""
    name = format_of(path)
    return _function(_POOLINGS[name], 1)(folder_of(path)) if name in _POOLINGS else None


def pooling_writer(name: str) -> Callable[[str | os.PathLike, "Pooling"], None]:
    """The function that writes a pooling into a folder that the format's writer wrote.

    Raises `DataError` for a format that has no place for one.
    """
    if name not in _POOLINGS:
        raise DataError(
            f"The format {name} has no place for how a text's vector is made: convert the encoder "
            "alone (--encoder-only)."
        )
    return _function(_POOLINGS[name], 2)


def _function(home: tuple[str, ...], which: int) -> Callable:
    return getattr(importlib.import_module(f"kbert.checkpoints.{home[0]}"), home[which])
