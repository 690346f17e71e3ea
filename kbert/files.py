"""Writing files so that a reader finds the old one or the new one, never a half."""

import contextlib
import json
import os
import pathlib
from collections.abc import Iterator

from kbert.errors import DataError


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """A temporary path that takes the place of `path` when the block ends without an error.

    A link keeps leading to its file. A device or a pipe is written to, not replaced.
    """
    path = pathlib.Path(path).resolve()
    if path.exists() and not path.is_file():
        yield path
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        # Some writers give their files to the owner alone.
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: str | os.PathLike, value) -> None:
    """Write a value as indented JSON, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(as_json(value, indent=2) + "\n", encoding="utf-8")


def as_json(value, indent: int | None = None) -> str:
    """JSON in which other scripts than Latin stay readable.

    Lone surrogates, which are no UTF-8, become JSON's escapes of them.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def check_writable(path: str | os.PathLike) -> None:
    """Raise DataError if no file can be written there; to be known before long work."""
    path = pathlib.Path(path)
    if path.is_dir():
        raise DataError(f"{path} is a folder; expected the name of a file to write.")
    if not path.parent.is_dir():
        raise DataError(f"There is no folder {path.parent} to write {path.name} into.")
    if not os.access(path.parent, os.W_OK):
        raise DataError(f"The folder {path.parent} cannot be written to.")


def _umask() -> int:
    """The rights that new files do not get; it can be read only by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
