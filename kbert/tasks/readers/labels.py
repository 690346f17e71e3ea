"""The labels that a training file has: their names, or numbers."""

import math
from collections.abc import Collection, Mapping

from kbert.errors import DataError

# So many different labels, and each in hardly two rows, are texts or numbers of rows.
MANY = 20


def parse_number(cell: str, where: str) -> float:
    """The finite number in a cell. Raises DataError, with `where`, for what is none."""
    try:
        number = float(cell)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"{where}: expected a number as label. Received: {cell[:40]!r}.")
    return number


def sort_labels(labels: Collection[str]) -> tuple[str, ...]:
    """Names by the alphabet; by size where all are numbers ("2" before "10")."""
    try:
        return tuple(sorted(labels, key=lambda label: (parse_number(label, ""), label)))
    except DataError:  # "nan" has no place among numbers, either.
        return tuple(sorted(labels))


def check_column(labels: Collection[str], rows: int, where: str, column: str) -> None:
    """Raises DataError where the labels look like something else; `column` says where they are."""
    if len(labels) > MANY and len(labels) > rows / 2:
        raise DataError(
            f"{where}: found {len(labels)} different labels in {rows} rows; "
            f"is {column} the column of labels?"
        )


def check_tag_column(counts: Mapping[str, int], where: str, column: int) -> None:
    """Raises DataError where the tags look like words: many, of which many come but once."""
    once = sum(count == 1 for count in counts.values())
    if len(counts) > MANY and once > len(counts) / 3:
        raise DataError(
            f"{where}: found {len(counts)} different tags, {once} of them once. Are these tags? "
            f"Of a file with a word a line --tag-column says where they are: it is {column}."
        )
