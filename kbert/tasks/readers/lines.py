"""Lines of files in UTF-8, numbered for messages. Nothing is dropped in silence."""

import pathlib
from collections.abc import Iterator
from typing import TypeVar

from kbert.errors import DataError
from kbert.tasks.readers.bad_rows import BadRows

Content = TypeVar("Content", str, list[str])


def first_line(path: str | pathlib.Path) -> str:
    """The first line without its end, to see what kind of file it is: in any encoding."""
    with open(path, "rb") as file:
        return file.readline().decode("utf-8-sig", "replace").rstrip("\r\n")


def decoded_lines(
    path: str | pathlib.Path, bad: BadRows | None = None
) -> Iterator[tuple[int, str]]:
    """Numbered lines with their ends. Split at LF alone: a text may hold other line breaks."""
    bad = BadRows() if bad is None else bad
    with open(path, "rb") as file:
        for number, raw in enumerate(file, 1):
            try:
                yield number, decode_line(raw, path, number)
            except DataError as error:
                bad.add(error)


def text_lines(path: str | pathlib.Path, bad: BadRows | None = None) -> Iterator[tuple[int, str]]:
    """Numbered lines without their ends, LF or CRLF."""
    for number, line in decoded_lines(path, bad):
        yield number, without_end(line)


def decode_line(raw: bytes, path: str | pathlib.Path, number: int) -> str:
    """A line as text, the first without a byte-order mark. Raises DataError if it is no UTF-8."""
    try:
        return raw.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}, line {number}: expected UTF-8. Received the byte "
            f"0x{error.object[error.start]:02x} at position {error.start}."
        ) from error


def without_end(line: str) -> str:
    """A line without its LF or CRLF."""
    return line.removesuffix("\n").removesuffix("\r")


def without_blank_end(
    path: str | pathlib.Path, rows: Iterator[tuple[int, Content]], bad: BadRows
) -> Iterator[tuple[int, Content]]:
    """The same numbered lines, or their cells, less the empty ones at the end; others are bad rows.

    Elsewhere than at the end, an empty line is a row that lost its content.
    """
    blank: list[int] = []
    for number, content in rows:
        if not content:
            blank.append(number)
            continue
        for place in blank:
            bad.add(DataError(f"{path}, line {place}: expected a row. The line is blank."))
        blank = []
        yield number, content
