"""GLUE's files: the right answers as they are distributed, predictions as they are submitted.

A submission is a TSV file with a header, `index<TAB>prediction`, and one line a row.
"""

import math
import pathlib
from typing import NamedTuple

from kbert.errors import DataError
from kbert.metrics.glue import GLUE
from kbert.tasks.tables import Row, read_rows


class GoldColumns(NamedTuple):
    """Where a task's files keep the answer, and the row's number where it has one."""

    label: str
    index: str | None = None
    header: bool = True


GOLD = {
    "CoLA": GoldColumns("1", header=False),
    "SST-2": GoldColumns("label"),
    "MRPC": GoldColumns("Quality"),
    "STS-B": GoldColumns("score", "index"),
    "QQP": GoldColumns("is_duplicate", "id"),
    "MNLI": GoldColumns("gold_label", "index"),
    "QNLI": GoldColumns("label", "index"),
    "RTE": GoldColumns("label", "index"),
    "WNLI": GoldColumns("label", "index"),
    "AX": GoldColumns("Label"),
}


def find_task(name: str) -> str:
    """The name as `GLUE` spells it; "mnli-mm" and "MNLI-m" are MNLI. Raises DataError."""
    spelled = {task.lower(): task for task in GLUE} | {"mnli-m": "MNLI", "mnli-mm": "MNLI"}
    if name.lower() not in spelled:
        raise DataError(f"Expected one of GLUE's tasks {', '.join(GLUE)}. Received: {name}.")
    return spelled[name.lower()]


def read_answers(
    task: str, gold_path: str | pathlib.Path, predictions_path: str | pathlib.Path
) -> tuple[list[str], list[str]]:
    """The right answers and the predictions of a task, in the order of the gold file.

    Predictions count the rows from 0, or bear the numbers that the gold file gives its rows.

    Raises DataError with file and line for an answer that the task does not have, a number twice,
    and for a row without a prediction or a prediction without a row.
    """
    columns = GOLD[task]
    wanted = {"answer": columns.label}
    if columns.index is not None:
        wanted["index"] = columns.index
    gold = list(read_rows(gold_path, wanted, columns.header))
    answers = [checked(task, row, gold_path) for row in gold]
    predictions: dict[str, tuple[int, str]] = {}
    for row in read_rows(predictions_path, {"index": "index", "answer": "prediction"}):
        index = row.cells["index"].strip()
        if index in predictions:
            raise DataError(
                f"{predictions_path}, line {row.line}: expected each index once. {index!r} stands "
                f"in line {predictions[index][0]} too."
            )
        predictions[index] = row.line, checked(task, row, predictions_path)
    counted = [str(number) for number in range(len(gold))]
    own = [row.cells.get("index", number) for row, number in zip(gold, counted, strict=True)]
    indices = own if predictions.keys() == set(own) else counted
    for number, row in zip(indices, gold, strict=True):
        if number not in predictions:
            raise DataError(
                f"{predictions_path}: expected a prediction for index {number}, line {row.line} of "
                f"{gold_path}. Found none."
            )
    known = set(indices)
    for index, (line, _) in predictions.items():
        if index not in known:
            raise DataError(
                f"{predictions_path}, line {line}: {gold_path} has no row with the index {index!r}."
            )
    return answers, [predictions[number][1] for number in indices]


def checked(task: str, row: Row, path: str | pathlib.Path) -> str:
    """The row's answer. Raises DataError if the task has no such one."""
    answer, labels = row.cells["answer"].strip(), GLUE[task].labels
    if labels is None:
        if is_number(answer):
            return answer
        expected = "a number"
    elif answer in labels:
        return answer
    else:
        expected = f"one of {', '.join(labels)}"
    raise DataError(f"{path}, line {row.line}: expected {expected}. Received: {answer!r}.")


def is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
