"""How answers are written: as JSON lines, or as a table by the name of the file."""

import csv
import io
import itertools
import pathlib
from collections.abc import Iterable, Iterator, Mapping

from kbert.files import as_json

_DELIMITERS = {".tsv": "\t", ".csv": ","}


def is_table(path: str | pathlib.Path) -> bool:
    """Whether the answers in a file of that name are a table, not JSON lines."""
    return _delimiter(path) is not None


def answer_rows(
    answers: Iterable[Mapping], path: str | pathlib.Path | None, errors: bool = False
) -> Iterator[str]:
    """The lines of a file of answers, without their ends.

    In .tsv and .csv the first names the columns, the keys of an answer; lists and objects are JSON
    in their cells, and a cell with a delimiter or a line break stands in quotation marks, as
    Python's csv module writes it. Under every other name, and without one, each line is JSON.

    Args:
        errors: whether an answer may be {"error": ...}, which has a column of its own.
    """
    delimiter = _delimiter(path)
    if delimiter is None:
        yield from map(as_json, answers)
        return
    answers, first = iter(answers), []
    for answer in answers:
        first.append(answer)
        if "error" not in answer:
            break
    names = [name for name in (first[-1] if first else ()) if name != "error"]
    names += ["error"] if errors else []
    yield _line(names, delimiter)
    for answer in itertools.chain(first, answers):
        yield _line([_cell(answer.get(name)) for name in names], delimiter)


def _delimiter(path: str | pathlib.Path | None) -> str | None:
    return None if path is None else _DELIMITERS.get(pathlib.Path(path).suffix.lower())


def _line(cells: list[str], delimiter: str) -> str:
    buffer = io.StringIO()
    # A cell is quoted for what stands in the end of a line, so that must hold both breaks.
    csv.writer(buffer, delimiter=delimiter, lineterminator="\r\n").writerow(cells)
    return buffer.getvalue().removesuffix("\r\n")


def _cell(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else as_json(value)
