"""A BERT from one format into another: read by what its folder holds, written as asked."""

import contextlib
import dataclasses
import os
import pathlib
import warnings
from collections.abc import Iterator
from typing import NamedTuple

from kbert.checkpoints.formats import (
    FORMATS,
    format_of,
    pooling_of,
    pooling_writer,
    reader,
    writer,
)
from kbert.checkpoints.hubs import folder_of, push, title, write_source
from kbert.errors import DataError
from kbert.files import check_folder_new, locked, replacing_folder
from kbert.settings import Settings, setting

_WITH_DTYPE = ("kbert", "huggingface")  # Formats whose weights may be in 16 bits.
_WITH_POOLER = ("google", "keras-hub")  # Those whose readers want one in any case.
# What a reader is told -> the sources whose reader it is.
_READ_BY = {
    "allow_missing_heads": ("huggingface", "google"),
    "second_column": ("huggingface",),
    "lowercase": ("google",),
}
_TITLES = {"huggingface": "Hugging Face", "google": "Google"}


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
    push: str | None = setting(
        None,
        "put what was written on Hugging Face's hub, with a model card (HF_TOKEN)",
        unset="nowhere",
        metavar="OWNER/NAME",
    )

    def __post_init__(self):
        super().__post_init__()
        if self.push is not None and self.to != "huggingface":
            raise DataError("--push needs --to huggingface.")


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
    check_folder_new(output)
    found = format_of(source)
    _check_read(settings, found)
    pooling, notes = pooling_of(source), []
    if pooling is not None and settings.encoder_only:
        notes.append(f"{source} says how a text's vector is made, which is left out.")
        pooling = None
    if pooling is not None:
        pooling_writer(settings.to)  # There is one, or an error before the model is read.
    with _noted(notes):
        checkpoint = reader(found)(source, **_reading_options(found, settings))
    checkpoint = _what_is_written(source, checkpoint, settings, notes)
    with replacing_folder(output) as folder, _noted(notes):
        _write(folder, checkpoint, pooling, settings)
        if settings.to == "kbert":
            write_source(folder, source)
        if settings.to == "huggingface" and found == "kbert":
            _write_card(folder, source, title(settings.push or output), checkpoint, pooling)
    if settings.push is not None:
        try:
            notes.append(f"pushed to {push(output, settings.push)}")
        except DataError as error:
            raise DataError(f"{output} is written, but not pushed: {error}") from error
    return Conversion(found, _kind(checkpoint), checkpoint.model.count_params(), notes)


def _check_read(settings: ConversionSettings, source: str) -> None:
    """Raise `DataError` for what is set, and nothing reads."""
    if settings.to not in _WITH_DTYPE:
        settings.check_unset("dtype", needs=f"an output of {' or '.join(_WITH_DTYPE)}")
    for name, sources in _READ_BY.items():
        if source not in sources:
            expected = " or ".join(_TITLES[each] for each in sources)
            settings.check_unset(name, needs=f"a source of {expected}")


@contextlib.contextmanager
def _noted(notes: list[str]) -> Iterator[None]:
    """What is warned of becomes notes."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", UserWarning)
        yield
    notes += [str(warning.message) for warning in said if warning.category is UserWarning]


def _what_is_written(source, checkpoint, settings: ConversionSettings, notes: list[str]):
    """The checkpoint, or its encoder alone where that is asked for, or where it was trained for
    vectors, which other formats know, but not the task."""
    from kbert.checkpoints.directory import encoder_of, known_outputs
    from kbert.checkpoints.sentence_vectors import trained_pooling

    for_vectors = settings.to != "kbert" and trained_pooling(checkpoint.task) is not None
    if not (settings.encoder_only or for_vectors):
        return checkpoint
    outputs = known_outputs(checkpoint.model)
    if settings.to in _WITH_POOLER and "pooled_output" not in outputs:
        outputs = (*outputs, "pooled_output")
        notes.append(f"{source} has no pooler: newly initialised.")
    return checkpoint._replace(model=encoder_of(checkpoint, outputs), task=None)


def _write(folder: pathlib.Path, checkpoint, pooling, settings: ConversionSettings) -> None:
    precision = {"dtype": settings.dtype} if settings.to in _WITH_DTYPE else {}
    writer(settings.to)(folder, checkpoint, **precision)
    if pooling is not None:
        pooling_writer(settings.to)(folder, pooling)


def _write_card(folder: pathlib.Path, source, name: str, checkpoint, pooling) -> None:
    from kbert.checkpoints.model_card import model_card

    card = model_card(folder_of(source), name, checkpoint, pooling is not None)
    (folder / "README.md").write_text(card, encoding="utf-8")


def _reading_options(source: str, settings: ConversionSettings) -> dict:
    """What the reader of a format is told."""
    return {n: getattr(settings, n) for n, sources in _READ_BY.items() if source in sources}


def _kind(checkpoint) -> str:
    if checkpoint.task is not None:
        return checkpoint.task.name
    from kbert.models import objective_of

    return "encoder" if objective_of(checkpoint.model) is None else "pre-training model"
