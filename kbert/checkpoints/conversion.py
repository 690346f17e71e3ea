"""A BERT from one format into another: read by what its folder holds, written as asked."""

import dataclasses
import os
import pathlib
import warnings
from typing import NamedTuple

from kbert.checkpoints.formats import (
    FORMATS,
    format_of,
    pooling_of,
    pooling_writer,
    reader,
    writer,
)
from kbert.errors import DataError
from kbert.files import check_folder_writable, locked, replacing_folder
from kbert.settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class ConversionSettings(Settings):
    """What is written, and how what a source does not say is understood."""

    to: str = setting("kbert", "format of the output", choices=FORMATS)
    encoder_only: bool = setting(
        False, "leave out pre-training heads, a task's, and how a text's vector is made"
    )
    allow_missing_heads: bool = setting(
        False, "begin heads anew that the source lacks, and say which (Hugging Face and Google)"
    )
    lowercase: bool | None = setting(
        None, "of Google's: the model is uncased", unset="the vocabulary decides"
    )
    second_column: str | None = setting(
        None,
        "of a classifier of Hugging Face that takes pairs: the second text's column",
        unset="none",
        metavar="COLUMN",
    )
    dtype: str = setting(
        "float32", "of the weights on disk (kbert and Hugging Face)", choices=("float32", "float16")
    )


class Conversion(NamedTuple):
    """What was converted: the source's format, what kind of model, its size, and what to know."""

    source: str
    kind: str
    num_parameters: int
    notes: list[str]


def convert(
    source: str | os.PathLike, output: str | os.PathLike, settings: ConversionSettings
) -> Conversion:
    """Read a folder of any format and write it in another, as the same numbers.

    Raises `DataError` for an output that is not empty, or that another process is writing, for a
    source that is no BERT, and for what the format of the output cannot hold.
    """
    with locked(output):
        return _convert(source, pathlib.Path(output), settings)


def _convert(
    source: str | os.PathLike, output: pathlib.Path, settings: ConversionSettings
) -> Conversion:
    from kbert.checkpoints.directory import Checkpoint, encoder_of

    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise DataError(f"{output} must be a new or an empty folder.")
    check_folder_writable(output)
    found = format_of(source)
    pooling, notes = pooling_of(source), []
    if pooling is not None and settings.encoder_only:
        notes.append(f"{source} says how a text's vector is made, which is left out.")
        pooling = None
    write_pooling = None if pooling is None else pooling_writer(settings.to)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", UserWarning)
        checkpoint = reader(found)(source, **_reading_options(found, settings))
    notes += [str(warning.message) for warning in said if warning.category is UserWarning]
    if settings.encoder_only:
        if not any(weight.path.startswith("pooler/") for weight in checkpoint.model.weights):
            notes.append(f"{source} has no pooler: newly initialised.")
        checkpoint = Checkpoint(encoder_of(checkpoint), checkpoint.tokenizer, checkpoint.config)
    precision = {"dtype": settings.dtype} if settings.to in ("kbert", "huggingface") else {}
    with replacing_folder(output) as folder:
        writer(settings.to)(folder, checkpoint, **precision)
        if write_pooling is not None:
            write_pooling(folder, pooling)
    return Conversion(found, _kind(checkpoint), checkpoint.model.count_params(), notes)


def _reading_options(source: str, settings: ConversionSettings) -> dict:
    """What the reader of a format is told."""
    options = {}
    if source in ("huggingface", "google"):
        options["allow_missing_heads"] = settings.allow_missing_heads
    if source == "huggingface":
        options["second_column"] = settings.second_column
    if source == "google":
        options["lowercase"] = settings.lowercase
    return options


def _kind(checkpoint) -> str:
    if checkpoint.task is not None:
        return checkpoint.task.name
    from kbert.models import objective_of

    return "encoder" if objective_of(checkpoint.model) is None else "pre-training model"
