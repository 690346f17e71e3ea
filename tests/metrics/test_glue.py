"""GLUE's metrics: each by hand, and where they have no value."""

import math

import pytest

from kbert.errors import DataError
from kbert.metrics.glue import GLUE, METRICS, glue_scores


def test_every_task_has_its_metrics():
    # Table 1 of the paper.
    assert {name: task.metrics for name, task in GLUE.items()} == {
        "CoLA": ("matthews",),
        "SST-2": ("accuracy",),
        "MRPC": ("accuracy", "f1"),
        "STS-B": ("pearson", "spearman"),
        "QQP": ("accuracy", "f1"),
        "MNLI": ("accuracy",),
        "QNLI": ("accuracy",),
        "RTE": ("accuracy",),
        "WNLI": ("accuracy",),
        "AX": ("matthews",),
    }
    assert {metric for task in GLUE.values() for metric in task.metrics} == METRICS.keys()


def test_two_labels_by_hand():
    gold, predicted = list("1110000"), list("1101000")
    # 2 true positives, 1 false positive, 1 false negative, 3 true negatives.
    assert glue_scores("MRPC", gold, predicted) == pytest.approx(
        {"accuracy": 5 / 7, "f1": 2 / 3, "rows": 7}
    )
    assert glue_scores("CoLA", gold, predicted)["matthews"] == pytest.approx(
        (2 * 3 - 1) / math.sqrt(3 * 3 * 4 * 4)
    )


def test_numbers_by_hand():
    scores = glue_scores("STS-B", ["0", "1", "2", "3.0"], ["1", "2", "4", "8"])
    # Deviations (-1.5, -0.5, 0.5, 1.5) and (-2.75, -1.75, 0.25, 4.25).
    pearson = 11.5 / math.sqrt(5 * 28.75)
    assert scores == pytest.approx({"pearson": pearson, "spearman": 1.0, "rows": 4})


@pytest.mark.parametrize("task", ["CoLA", "AX", "STS-B"])
def test_one_answer_for_all_is_no_correlation(task):
    gold = ["entailment", "neutral"] if task == "AX" else ["0", "1"]
    scores = glue_scores(task, gold, [gold[0]] * 2)
    assert all(scores[metric] == 0 for metric in GLUE[task].metrics)


def test_refuses():
    with pytest.raises(DataError, match="as many predictions as answers"):
        glue_scores("RTE", ["entailment"], [])
    with pytest.raises(DataError, match="one at least"):
        glue_scores("RTE", [], [])
