"""Rows of tables and of JSON objects, by named columns; their places kept for messages.

- `.tsv`, `.txt`: cells between tabs, without quoting (GLUE's files hold bare quotation marks).
- `.csv`: RFC 4180; a quoted cell may hold commas, quotation marks and line breaks.
- `.jsonl`, `.ndjson`, `.json`, `.parquet`: objects (kbert/tasks/readers/objects.py).

UTF-8, with or without a byte-order mark; lines end in LF or CRLF. Blank lines may stand at the end
only: elsewhere they are rows that lost their content. Nothing is dropped in silence.
"""

import csv
import json
import pathlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from kbert.errors import DataError
from kbert.tasks.readers import objects
from kbert.tasks.readers.bad_rows import BadRows, not_empty
from kbert.tasks.readers.lines import decoded_lines, text_lines, without_blank_end

TABS = (".tsv", ".txt")
COMMAS = (".csv",)
SUFFIXES = TABS + COMMAS + objects.SUFFIXES
LONGEST_CELL = 2**31 - 1  # Characters; more than memory is likely to hold, and any C long can.


class Row(NamedTuple):
    """The cells of one row under the names that the caller gave them; its place for messages."""

    where: str
    cells: dict[str, str]


def read_rows(
    path: str | pathlib.Path,
    columns: Mapping[str, str],
    header: bool = True,
    bad: BadRows | None = None,
    lists: Collection[str] = (),
    delimiter: str | None = None,
) -> Iterator[Row]:
    """The wanted columns of each row.

    Args:
        columns: what the caller calls a column -> its name in the header, or its key in a JSON
            object; without a header its number, counted from 0.
        header: whether the first line names the columns (TSV and CSV).
        bad: what to do with rows that do not fit; None raises the first one's error.
        lists: the caller's names of columns that may hold a list in JSON; it comes as JSON text.
        delimiter: what stands between cells; None for what the file's name says.

    Raises DataError with file, line and what was expected; OSError for a file that cannot be read.
    """
    path = pathlib.Path(path)
    bad = BadRows() if bad is None else bad
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(f"{path}: expected a file ending in {', '.join(SUFFIXES)}.")
    if suffix in objects.SUFFIXES:
        if not header:
            raise DataError(f"{path}: JSON objects have keys; only TSV and CSV lack a header.")
        rows = _read_objects(path, columns, bad, lists)
    else:
        rows = _read_cells(path, columns, header, bad, delimiter)
    yield from not_empty(rows, "rows", path, bad)


def header_of(path: pathlib.Path, line: str) -> list[str]:
    """The cells of a table's first line, which may be the header."""
    return next(_cells_of([line]), []) if path.suffix.lower() in COMMAS else line.split("\t")


def _cells_of(lines: Iterable[str], **options) -> Iterator[list[str]]:
    # A text may be longer than the 131,072 characters that Python's reader allows.
    csv.field_size_limit(LONGEST_CELL)
    return csv.reader(lines, **options)


def _read_cells(
    path: pathlib.Path,
    columns: Mapping[str, str],
    header: bool,
    bad: BadRows,
    delimiter: str | None,
) -> Iterator[Row]:
    if path.suffix.lower() in COMMAS:
        table = _split_quoted(path, bad, delimiter or ",")
    else:
        table = _split_plain(path, bad, delimiter or "\t")
    table = without_blank_end(path, table, bad)
    line, first = next(table, (0, []))
    if not first:
        return
    positions = _find_columns(path, columns, first, header)

    def row(line: int, cells: list[str]) -> Row:
        values = {name: cells[position] for name, position in positions.items()}
        return Row(f"{path}, line {line}", values)

    if not header:
        yield row(line, first)
    for line, cells in table:
        if len(cells) == len(first):
            yield row(line, cells)
            continue
        bad.add(
            DataError(
                f"{path}, line {line}: expected {len(first)} columns as in the first line, "
                f"received {len(cells)}."
            )
        )


def _find_columns(
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


def _split_plain(
    path: pathlib.Path, bad: BadRows, delimiter: str
) -> Iterator[tuple[int, list[str]]]:
    for number, line in text_lines(path, bad):
        yield number, line.split(delimiter) if line else []


def _split_quoted(
    path: pathlib.Path, bad: BadRows, delimiter: str
) -> Iterator[tuple[int, list[str]]]:
    # Strict, so that a quotation mark that is never closed is an error, not one giant cell.
    numbers: list[int] = []  # Of the lines of one row.

    def numbered():
        for number, line in decoded_lines(path, bad):
            numbers.append(number)
            yield line

    reader = _cells_of(numbered(), strict=True, delimiter=delimiter)
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


def _read_objects(
    path: pathlib.Path, columns: Mapping[str, str], bad: BadRows, lists: Collection[str]
) -> Iterator[Row]:
    for values, where in objects.read_values(path, bad):
        try:
            if not isinstance(values, Mapping):
                raise DataError(f"{where}: expected a JSON object. Received: {str(values)[:60]}")
            cells = {
                name: _as_cell(values, key, where, name in lists) for name, key in columns.items()
            }
        except DataError as error:
            bad.add(error)
            continue
        yield Row(where, cells)


def _as_cell(values: Mapping, key: str, where: str, may_be_list: bool) -> str:
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
