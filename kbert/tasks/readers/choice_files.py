"""Files of multiple choice, as they are published.

- `.csv`, or a table with tabs, with a header: SWAG's columns sent1, sent2, ending0, ending1 ...,
  label.
- `.tsv`, `.txt` without a header: CODAH's columns, a category, the prompt, its completions, the
  number of the right one.
- `.jsonl`, `.ndjson`, `.json`, `.parquet`, `.txt` that begins with "{": objects {"context": "...",
  "question": "...", "choices": [...], "label": 0}, the question where there is one, the label a
  number from 0 or the choice itself; or SWAG's columns as keys; RACE's {"article", "questions",
  "options", "answers": ["A", ...]}; C3's list of [lines, [{"question", "choice", "answer"}], id].
- a folder: all such files in it, as RACE's.
"""

import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from kbert.errors import DataError
from kbert.tasks.readers import objects, tables
from kbert.tasks.readers.bad_rows import BadRows, not_empty
from kbert.tasks.readers.lines import first_line

_ENDING = re.compile(r"ending(\d+)")
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class ChoiceExample(NamedTuple):
    """What is given, the choices, and the number of the right one where it is known."""

    context: str
    question: str | None
    choices: tuple[str, ...]
    label: int | None
    where: str


def read_choices(path: str | pathlib.Path, labelled: bool, bad: BadRows) -> Iterator[ChoiceExample]:
    """The examples of a file of any of these kinds, in order.

    Raises DataError with file, line and what was expected; OSError for a file that cannot be read.
    """
    path = pathlib.Path(path)
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    if not files:
        raise DataError(f"{path}: expected files of multiple choice. The folder is empty.")
    for file in files:
        yield from not_empty(_read_file(file, labelled, bad), "rows", file, bad)


def _read_file(path: pathlib.Path, labelled: bool, bad: BadRows) -> Iterator[ChoiceExample]:
    if path.suffix.lower() in objects.SUFFIXES:
        values = objects.read_values(path, bad)
    elif (first := first_line(path)).startswith("{"):
        values = objects.json_values(path)
    else:
        yield from _read_table(path, first, labelled, bad)
        return
    for value, where in values:
        try:
            yield from _from_value(value, where, labelled)
        except DataError as error:
            bad.add(error)


# Tables.


def _read_table(
    path: pathlib.Path, first: str, labelled: bool, bad: BadRows
) -> Iterator[ChoiceExample]:
    commas = path.suffix.lower() in tables.COMMAS
    cells = tables.header_of(path, first)
    header = "sent1" in cells
    if header:
        columns, keys = _swag_columns(cells)
    elif commas or len(cells) < 5:
        raise DataError(
            f"{path}: expected a header with sent1, sent2, ending0, ending1 ..., or, between tabs, "
            f"a category, a prompt, completions and the number of the right one. Received: "
            f"{first[:80]!r}."
        )
    else:
        columns = {"context": "1", "label": str(len(cells) - 1)}
        keys = [f"choice{number}" for number in range(2, len(cells) - 1)]
        columns |= {key: key.removeprefix("choice") for key in keys}
    if not labelled:
        del columns["label"]
    for row in tables.read_rows(path, columns, header, bad):
        where = row.where
        values = {name: row.cells[name] for name in ("context", "question") if name in row.cells}
        values["choices"] = [row.cells[key] for key in keys]
        try:
            if labelled:
                values["label"] = _as_number(row.cells["label"], where)
            yield from_object(values, where, labelled)
        except DataError as error:
            bad.add(error)


def _swag_columns(cells: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    keys = sorted(filter(_ENDING.fullmatch, cells), key=lambda cell: int(cell[6:]))
    columns = {"context": "sent1", "question": "sent2", "label": "label"}
    return columns | {key: key for key in keys}, keys


def _as_number(cell: str, where: str) -> int:
    if not cell.strip().isdecimal():
        raise DataError(f"{where}: expected the number of a choice as label. Received: {cell!r}.")
    return int(cell)


# JSON.


def _from_value(value: object, where: str, labelled: bool) -> list[ChoiceExample]:
    """The examples in one value of a file. Raises DataError for a value of another kind."""
    if isinstance(value, list):
        return _from_passage(value, where, labelled)
    if isinstance(value, Mapping) and "article" in value:
        return _from_article(value, where, labelled)
    if isinstance(value, Mapping) and "ending0" in value:
        columns, keys = _swag_columns(list(value))
        choices = [value[key] for key in keys]
        named = {name: value[key] for name, key in columns.items() if key in value}
        value = {**named, "choices": choices}
    if not isinstance(value, Mapping):
        raise DataError(f"{where}: expected a JSON object. Received: {str(value)[:60]}")
    return [from_object(value, where, labelled)]


def _from_article(value: Mapping, where: str, labelled: bool) -> list[ChoiceExample]:
    """RACE: an article with its questions."""
    names = ("questions", "options", "answers") if labelled else ("questions", "options")
    parts = [value.get(name) for name in names]
    if not all(isinstance(part, list) and len(part) == len(parts[0]) for part in parts):
        raise DataError(f"{where}: expected lists of equal length under {', '.join(names)}.")
    examples = []
    for question, choices, *answer in zip(*parts, strict=True):
        found = {"context": value["article"], "question": question, "choices": choices}
        if labelled:
            letter = answer[0]
            if not isinstance(letter, str) or len(letter) != 1 or letter not in _LETTERS:
                raise DataError(f"{where}: expected a letter as answer. Received: {letter!r}.")
            found["label"] = _LETTERS.index(letter)
        examples.append(from_object(found, where, labelled))
    return examples


def _from_passage(value: list, where: str, labelled: bool) -> list[ChoiceExample]:
    """C3: the lines of a text or a dialogue, and questions."""
    try:
        lines, questions = value[:2]
        context = "\n".join(lines)
        found = [
            {
                "context": context,
                "question": question["question"],
                "choices": question["choice"],
                **({"label": question["answer"]} if labelled else {}),
            }
            for question in questions
        ]
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(
            f'{where}: expected [lines, [{{"question", "choice", "answer"}}], id]. '
            f"Received: {str(value)[:60]}"
        ) from error
    return [from_object(item, where, labelled) for item in found]


def from_object(values: Mapping, where: str, labelled: bool) -> ChoiceExample:
    """{"context", "question", "choices", "label"}; raises DataError for what does not fit."""
    choices = values.get("choices")
    if not isinstance(choices, list | tuple) or len(choices) < 2:
        raise DataError(f"{where}: expected two choices at least. Received: {str(choices)[:60]}.")
    question = None if values.get("question") == "" else values.get("question")
    texts = [("context", values.get("context"))]
    texts += [("question", question)] if question is not None else []
    texts += [(f"choice {number}", choice) for number, choice in enumerate(choices)]
    for name, text in texts:
        if not isinstance(text, str) or not text.strip():
            raise DataError(f"{where}: expected a text as {name}. Received: {text!r}.")
    label = _right_choice(values.get("label"), choices, where) if labelled else None
    return ChoiceExample(values["context"], question, tuple(choices), label, where)


def _right_choice(label: object, choices: Sequence[str], where: str) -> int:
    if isinstance(label, str) and choices.count(label) == 1:
        return choices.index(label)
    if type(label) is int and 0 <= label < len(choices):
        return label
    raise DataError(
        f"{where}: expected as label a number from 0 to {len(choices) - 1}, or one of the choices. "
        f"Received: {label!r}."
    )
