"""Files of JSON objects, one a row: JSON lines, JSON, and Parquet, whose rows are taken as such.

- `.jsonl`, `.ndjson`: an object a line.
- `.json`: objects one after another, over as many lines as they like, or in one list.
- `.parquet`: a row each; needs pyarrow (`pip install pyarrow`).
"""

import json
import pathlib
from collections.abc import Iterator
from typing import Any

from kbert.errors import DataError
from kbert.files import JSON_ERRORS
from kbert.tasks.readers.bad_rows import BadRows
from kbert.tasks.readers.lines import decoded_lines, text_lines, without_blank_end

JSON_LINES = (".jsonl", ".ndjson")
PARQUET = ".parquet"
SUFFIXES = (*JSON_LINES, ".json", PARQUET)


def read_values(path: pathlib.Path, bad: BadRows) -> Iterator[tuple[Any, str]]:
    """The values in a file of one of `SUFFIXES`, in order, each with its place for messages.

    In JSON lines each is an object; a line that is none is a bad row. Elsewhere they are whatever
    stands there. Raises DataError for other files that are no JSON or no Parquet.
    """
    suffix = path.suffix.lower()
    if suffix in JSON_LINES:
        yield from _line_by_line(path, bad)
    elif suffix == PARQUET:
        yield from _parquet_rows(path)
    else:
        yield from json_values(path)


def parse_object(line: str, where: str) -> dict:
    """The JSON object in a line. Raises DataError, with `where`, for anything else."""
    try:
        values = json.loads(line)
    except JSON_ERRORS as error:
        raise DataError(f"{where}: expected one JSON object a line: {error}.") from error
    if not isinstance(values, dict):
        raise DataError(f"{where}: expected a JSON object. Received: {line[:60].strip()}")
    return values


def json_values(path: pathlib.Path) -> Iterator[tuple[Any, str]]:
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


def _line_by_line(path: pathlib.Path, bad: BadRows) -> Iterator[tuple[dict, str]]:
    for number, line in without_blank_end(path, text_lines(path, bad), bad):
        where = f"{path}, line {number}"
        try:
            yield parse_object(line, where), where
        except DataError as error:
            bad.add(error)


def _parquet_rows(path: pathlib.Path) -> Iterator[tuple[dict, str]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise DataError(
            f"{path}: Parquet needs the package pyarrow: pip install pyarrow."
        ) from error
    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches():
                for values in batch.to_pylist():
                    number += 1
                    yield values, f"{path}, row {number}"
    except pyarrow.ArrowException as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path}: expected a Parquet file: {reason}") from error
