"""Submissions to GLUE: written from a model's answers, read beside the right ones, scored.

A submission is a TSV file for each set, with the header `index<TAB>prediction` and one line for
each row of test.tsv in order, counted from 0 (https://gluebenchmark.com/faq).
"""

import math
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

from kbert.errors import DataError
from kbert.tasks.readers.glue import GLUE
from kbert.tasks.readers.tables import Row, read_rows


def submission(name: str, answers: Iterable[Mapping]) -> Iterator[str]:
    """The lines of a submission, without their ends, from a model's answers to test.tsv."""
    yield "index\tprediction"
    for index, answer in enumerate(answers):
        yield f"{index}\t{_prediction(name, answer)}"


def _prediction(name: str, answer: Mapping) -> str:
    if GLUE[name].task == "regression":
        # STS-B's scores lie from 0 to 5; a model may go beyond.
        return f"{min(max(answer['value'], 0.0), 5.0):.3f}"
    return answer["label"]


def read_answers(
    name: str, gold_path: str | pathlib.Path, predictions_path: str | pathlib.Path
) -> tuple[list[str], list[str]]:
    """The right answers and the predictions of a set, in the order of the gold file.

    Predictions count the rows from 0, or bear the numbers that the gold file gives its rows.

    Raises DataError with file and line for an answer that the set does not have, a number twice,
    and for a row without a prediction or a prediction without a row.
    """
    columns = GLUE[name].labelled
    wanted = {"answer": columns.label_column}
    if GLUE[name].index is not None:
        wanted["index"] = GLUE[name].index
    gold = list(read_rows(gold_path, wanted, columns.header))
    answers = [_checked(name, row) for row in gold]
    predictions: dict[str, tuple[str, str]] = {}
    for row in read_rows(predictions_path, {"index": "index", "answer": "prediction"}):
        index = row.cells["index"].strip()
        if index in predictions:
            raise DataError(
                f"{row.where}: expected each index once. {index!r} stands in "
                f"{predictions[index][0]} too."
            )
        predictions[index] = row.where, _checked(name, row)
    counted = [str(number) for number in range(len(gold))]
    own = [row.cells.get("index", number) for row, number in zip(gold, counted, strict=True)]
    indices = own if predictions.keys() == set(own) else counted
    for number, row in zip(indices, gold, strict=True):
        if number not in predictions:
            raise DataError(
                f"{predictions_path}: expected a prediction for index {number}, {row.where}. "
                "Found none."
            )
    known = set(indices)
    for index, (where, _) in predictions.items():
        if index not in known:
            raise DataError(f"{where}: {gold_path} has no row with the index {index!r}.")
    return answers, [predictions[number][1] for number in indices]


def glue_scores(name: str, gold: Sequence[str], predicted: Sequence[str]) -> dict:
    """The scores of a set, 0 to 1 (correlations from -1), and rows.

    Args:
        gold, predicted: labels, or numbers as text, in one order; one at least.
    """
    # scikit-learn and SciPy take a second to import.
    if GLUE[name].task == "regression":
        from kbert.metrics.regression import regression_scores

        scores = regression_scores(list(map(float, gold)), list(map(float, predicted)))
    else:
        from kbert.metrics.classification import classification_scores

        scores = classification_scores(gold, predicted, GLUE[name].labels)
    return {metric: scores[metric] for metric in GLUE[name].metrics} | {"rows": len(gold)}


def _checked(name: str, row: Row) -> str:
    """The row's answer. Raises DataError if the set has no such one."""
    answer, labels = row.cells["answer"].strip(), GLUE[name].labels
    if not labels:
        if _is_number(answer):
            return answer
        expected = "a number"
    elif answer in labels:
        return answer
    else:
        expected = f"one of {', '.join(labels)}"
    raise DataError(f"{row.where}: expected {expected}. Received: {answer!r}.")


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
