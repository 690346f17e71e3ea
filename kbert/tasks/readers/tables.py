"""Rows of TSV, CSV and JSON-lines files, by named columns; line numbers kept for messages.

- `.tsv`, `.txt`: cells between tabs, without quoting (GLUE's files hold bare quotation marks).
- `.csv`: RFC 4180; a quoted cell may hold commas, quotation marks and line breaks.
- `.jsonl`, `.ndjson`, `.json`: one object a line.

UTF-8, with or without a byte-order mark; lines end in LF or CRLF. Blank lines may stand at the end
only: elsewhere they are rows that lost their content. Nothing is dropped in silence.
"""

import argparse
import csv
import json
import pathlib
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from kbert.errors import DataError
from kbert.tasks.readers.bad_rows import BadRows, not_empty

TABS = (".tsv", ".txt")
COMMAS = (".csv",)
JSON_LINES = (".jsonl", ".ndjson", ".json")
SUFFIXES = TABS + COMMAS + JSON_LINES
LONGEST_CELL = 2**31 - 1  # Characters; more than memory is likely to hold, and any C long can.
# Besides what is no JSON: a number of thousands of digits, and lists in lists without an end.
JSON_ERRORS = (ValueError, RecursionError)


class Row(NamedTuple):
    """The cells of one row under the names that the caller gave them."""

    line: int
    cells: dict[str, str]


def read_rows(
    path: str | pathlib.Path,
    columns: Mapping[str, str],
    header: bool = True,
    bad: BadRows | None = None,
    lists: Collection[str] = (),
) -> Iterator[Row]:
    """The wanted columns of each row.

    Args:
        columns: what the caller calls a column -> its name in the header, or its key in a JSON
            object; without a header its number, counted from 0.
        header: whether the first line names the columns (TSV and CSV).
        bad: what to do with rows that do not fit; None raises the first one's error.
        lists: the caller's names of columns that may hold a list in JSON; it comes as JSON text.

    Raises DataError with file, line and what was expected; OSError for a file that cannot be read.
    """
    path = pathlib.Path(path)
    bad = BadRows() if bad is None else bad
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(f"{path}: expected a file ending in {', '.join(SUFFIXES)}.")
    if suffix in JSON_LINES:
        if not header:
            raise DataError(f"{path}: JSON lines have keys; only TSV and CSV lack a header.")
        rows = read_objects(path, columns, bad, lists)
    else:
        rows = read_cells(path, columns, header, bad)
    yield from not_empty(rows, "rows", path, bad)


def read_cells(
    path: pathlib.Path, columns: Mapping[str, str], header: bool, bad: BadRows
) -> Iterator[Row]:
    lines = without_blank_end(path, decoded_lines(path, bad), bad)
    commas = path.suffix.lower() in COMMAS
    table = split_commas(path, lines, bad) if commas else split_tabs(lines)
    line, first = next(table, (0, []))
    if not first:
        return
    positions = find_columns(path, columns, first, header)
    if not header:
        yield Row(line, {name: first[position] for name, position in positions.items()})
    for line, cells in table:
        if len(cells) != len(first):
            bad.add(
                DataError(
                    f"{path}, line {line}: expected {len(first)} columns as in the first line, "
                    f"received {len(cells)}."
                )
            )
            continue
        yield Row(line, {name: cells[position] for name, position in positions.items()})


def find_columns(
    path: pathlib.Path, columns: Mapping[str, str], first: list[str], header: bool
) -> dict[str, int]:
    """The position of each wanted column, from the first line's cells."""
    positions = {}
    for name, column in columns.items():
        if header and first.count(column) == 1:
            positions[name] = first.index(column)
        elif not header and column.isdecimal() and int(column) < len(first):
            positions[name] = int(column)
        elif header:
            found = "more than one column" if column in first else "no column"
            hint = " Numbers are for files without a header." if column.isdecimal() else ""
            names = ", ".join(repr(cell[:40]) for cell in first)
            raise DataError(f"{path} has {found} {column!r}. Its columns: {names}.{hint}")
        else:
            raise DataError(
                f"{path}: without a header, expected a column number from 0 to {len(first) - 1}. "
                f"Received: {column!r}."
            )
    return positions


def split_tabs(lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, list[str]]]:
    for number, line in lines:
        yield number, line.removesuffix("\n").removesuffix("\r").split("\t")


def split_commas(
    path: pathlib.Path, lines: Iterator[tuple[int, str]], bad: BadRows
) -> Iterator[tuple[int, list[str]]]:
    # A text may be longer than the 131,072 characters that Python's reader allows.
    csv.field_size_limit(LONGEST_CELL)
    # Strict, so that a quotation mark that is never closed is an error, not one giant cell.
    numbers: list[int] = []  # Of the lines of one row.

    def numbered():
        for number, line in lines:
            numbers.append(number)
            yield line

    reader = csv.reader(numbered(), strict=True)
    while True:
        numbers.clear()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            message = DataError(f"{path}, line {numbers[0]}: expected CSV: {error}.")
            # A mark that opened the row too early has taken in rows that nobody counts.
            if len(numbers) > 1:
                raise message from error
            bad.add(message)
        else:
            if numbers[-1] - numbers[0] >= len(numbers):
                raise DataError(
                    f"{path}, lines {numbers[0]} to {numbers[-1]}: expected UTF-8 within quotation "
                    "marks, where a line cannot be skipped alone."
                )
            yield numbers[0], cells


def read_objects(
    path: pathlib.Path, columns: Mapping[str, str], bad: BadRows, lists: Collection[str]
) -> Iterator[Row]:
    for number, line in without_blank_end(path, decoded_lines(path, bad), bad):
        where = f"{path}, line {number}"
        try:
            values = parse_object(line, where)
            cells = {
                name: value(values, key, where, name in lists) for name, key in columns.items()
            }
        except DataError as error:
            bad.add(error)
            continue
        yield Row(number, cells)


def parse_object(line: str, where: str) -> dict:
    """The JSON object in a line. Raises DataError, with `where`, for anything else."""
    try:
        values = json.loads(line)
    except JSON_ERRORS as error:
        raise DataError(f"{where}: expected one JSON object a line: {error}.") from error
    if not isinstance(values, dict):
        raise DataError(f"{where}: expected a JSON object. Received: {line[:60].strip()}")
    return values


def json_values(path: pathlib.Path) -> Iterator[tuple[object, str]]:
    """The values in a file one after another, or those of the one list in it; each with its place.

    Raises DataError for what is no JSON: where the next value begins is then unknown.
    """
    text = "".join(line for _, line in decoded_lines(path))
    decoder = json.JSONDecoder()
    place, line, counted = 0, 1, 0
    while True:
        while place < len(text) and text[place].isspace():
            place += 1
        if place == len(text):
            return
        line += text.count("\n", counted, place)
        counted = place
        try:
            value, place = decoder.raw_decode(text, place)
        except json.JSONDecodeError as error:
            raise DataError(f"{path}, line {error.lineno}: expected JSON: {error.msg}.") from error
        except JSON_ERRORS as error:
            raise DataError(f"{path}, line {line}: expected JSON: {error}.") from error
        if isinstance(value, list):
            yield from ((item, f"{path}, item {n}") for n, item in enumerate(value, 1))
        else:
            yield value, f"{path}, line {line}"


def value(values: dict, key: str, where: str, may_be_list: bool = False) -> str:
    """A text or number of a JSON object as text; a list, where there may be one, as JSON."""
    if key not in values:
        raise DataError(f"{where}: expected the key {key!r}. Received: {', '.join(values)}.")
    found = values[key]
    if isinstance(found, str):
        return found
    if isinstance(found, (bool, int, float)):
        return json.dumps(found)
    if may_be_list and isinstance(found, list):
        return json.dumps(found, ensure_ascii=False)
    wanted = "text, a number or a list" if may_be_list else "text or a number"
    raise DataError(f"{where}: expected {wanted} under {key!r}. Received: {found!r}.")


def decoded_lines(path: pathlib.Path, bad: BadRows | None = None) -> Iterator[tuple[int, str]]:
    """Numbered lines with their ends. Split at LF alone: a text may hold other line breaks."""
    bad = BadRows() if bad is None else bad
    with open(path, "rb") as file:
        for number, raw in enumerate(file, 1):
            try:
                line = decode_line(raw, path, number)
            except DataError as error:
                bad.add(error)
                continue
            yield number, line


def decode_line(raw: bytes, path: pathlib.Path, number: int) -> str:
    """A line as text, without a byte-order mark. Raises DataError for another encoding."""
    try:
        return raw.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}, line {number}: expected UTF-8. Received the byte "
            f"0x{raw[error.start]:02x} at position {error.start}."
        ) from error


def without_blank_end(
    path: pathlib.Path, lines: Iterator[tuple[int, str]], bad: BadRows
) -> Iterator[tuple[int, str]]:
    """The same lines, less the blank ones at the end; others are bad rows.

    A blank line inside a quoted CSV cell is part of the cell, and passed on.
    """
    inside_quotes = False
    blank: list[int] = []
    for number, line in lines:
        if not inside_quotes and not line.strip("\r\n"):
            blank.append(number)
            continue
        for place in blank:
            bad.add(DataError(f"{path}, line {place}: expected a row. The line is blank."))
        blank = []
        if path.suffix.lower() in COMMAS:
            inside_quotes ^= line.count('"') % 2 == 1
        yield number, line


def add_column_arguments(parser: argparse.ArgumentParser, label: bool = True) -> None:
    """Options to read a file by other columns than those of the training file."""
    group = parser.add_argument_group(
        "columns", "names in the header or JSON keys; numbers from 0 with --no-header"
    )
    names = ("text", "second", "label") if label else ("text", "second")
    for name in names:
        group.add_argument(f"--{name}-column", metavar="COLUMN", help="instead of training's")
    # Of files with a word a line (kbert/tasks/readers/conll_files.py).
    for name in ("word", "tag") if label else ("word",):
        group.add_argument(
            f"--{name}-column",
            type=int,
            metavar="NUMBER",
            help="of tagged words, instead of training's",
        )
    group.add_argument(
        "--header",
        action=argparse.BooleanOptionalAction,
        help="whether the first line names the columns, instead of as in training",
    )


def column_options(args: argparse.Namespace) -> dict:
    """The given ones of those options, as `Task.with_options` takes them."""
    options = {
        name: value
        for name, value in vars(args).items()
        if name.endswith("_column") or name == "header"
    }
    return {name: value for name, value in options.items() if value is not None}
