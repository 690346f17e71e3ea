"""Rows that do not fit: an error at once, or counted and reported; never dropped in silence."""

import dataclasses
import pathlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from kbert.errors import DataError
from kbert.settings import Settings, setting

# Of thousands of bad rows a report shows the first few.
SHOWN = 20


class BadRows:
    """What a reader does with a row that does not fit.

    Args:
        skip: count such rows and go on, instead of raising the first one's error.

    Attributes:
        messages: what was wrong with each row that was counted, with its file and place.
    """

    def __init__(self, skip: bool = False):
        self.skip = skip
        self.messages: list[str] = []

    def add(self, error: DataError) -> None:
        """Count a bad row. Raises its error unless bad rows are counted."""
        if not self.skip:
            raise error
        self.messages.append(str(error))

    def report(self) -> dict:
        """How many rows were bad and what was wrong with the first of them, ready for JSON."""
        return {"rows_bad": len(self.messages), "problems": self.messages[:SHOWN]}


@dataclasses.dataclass(frozen=True)
class BadRowSettings(Settings):
    """What becomes of rows that do not fit, in every command that reads labelled rows."""

    skip_bad: bool = setting(
        False, "count rows that do not fit and leave them out, instead of stopping at the first"
    )


def report_lines(report: Mapping) -> list[str]:
    """`BadRows.report` as lines for a person; none where it is not in `report`."""
    if "rows_bad" not in report:
        return []
    return [f"{report['rows_bad']} bad rows", *(f"  {found}" for found in report["problems"])]


def not_empty(rows: Iterable, name: str, path, bad: BadRows) -> Iterator:
    """The rows of a file, as they come. Raises DataError at the end where there was none."""
    empty, before = True, len(bad.messages)
    for row in rows:
        empty = False
        yield row
    if empty and len(bad.messages) == before:
        raise DataError(f"{path}: expected {name}, found none.")


def check_any_left(examples: list, bad: BadRows, path) -> None:
    """Raises DataError where every row of a file was bad."""
    # Those of other files, too, stand among the messages.
    name = str(pathlib.Path(path))  # As messages have it.
    own = [message for message in bad.messages if message.startswith(name)]
    if not examples and own:
        raise DataError(f"{path}: none of its {len(own)} rows fits. The first: {own[0]}")


def with_known_labels(
    examples: Sequence, known: Collection[str], labels_of: Callable, bad: BadRows
) -> list:
    """The examples all of whose labels are known; the others are bad rows.

    Args:
        known: the labels that training had.
        labels_of: the labels of an example.

    Raises DataError, naming every unknown label, unless bad rows are counted.
    """
    kept, unknown = [], {}
    for example in examples:
        missing = [label for label in labels_of(example) if label not in known]
        if not missing:
            kept.append(example)
        elif bad.skip:
            bad.add(_unknown_labels(dict.fromkeys(missing, example.where), known))
        else:
            for label in missing:
                unknown.setdefault(label, example.where)
    if unknown:
        raise _unknown_labels(unknown, known)
    return kept


def _unknown_labels(found: dict[str, str], expected: Iterable[str]) -> DataError:
    """The error for labels -> where each first stands, none of which training had."""
    return DataError(
        f"{next(iter(found.values()))}: found labels that the training file does not have: "
        f"{quoted(sorted(found))}. Expected: {quoted(expected)}."
    )


def quoted(names: Iterable[str]) -> str:
    """The names in quotation marks, with commas between."""
    return ", ".join(repr(name) for name in names)
