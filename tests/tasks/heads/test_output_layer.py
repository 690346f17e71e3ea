"""Settings that tasks share: label smoothing reaches each loss, and what is no share is refused."""

import argparse

import numpy as np
import pytest

from kbert.errors import DataError
from kbert.settings import add_options, from_options
from kbert.tasks.classification import ClassificationTask
from kbert.tasks.multiple_choice import MultipleChoiceTask
from kbert.tasks.tagging import TaggingTask

RIGHT, WRONG = np.log([0.7, 0.3])
TASKS = [
    (ClassificationTask, {"labels": ("no", "yes")}, "label", [[RIGHT, WRONG]], [0]),
    (MultipleChoiceTask, {}, "label", [[WRONG, RIGHT]], [1]),
    (TaggingTask, {}, "tags", [[[RIGHT, WRONG]]], [[0]]),
]


@pytest.mark.parametrize(("task", "settings", "name", "logits", "target"), TASKS)
def test_label_smoothing_by_hand(task, settings, name, logits, target):
    """0.2 of the target is shared by two classes: 0.9 log 0.7 + 0.1 log 0.3."""
    weight = np.ones(np.shape(target), "float32")
    sums = task(label_smoothing=0.2, **settings).objective(
        {"logits": np.array(logits, "float32")}, {name: np.array(target)}, {name: weight}
    )
    assert float(sums["loss"]) == pytest.approx(-(0.9 * RIGHT + 0.1 * WRONG), 1e-5)
    assert float(sums["accuracy"]) == 1


@pytest.mark.parametrize("task", [case[0] for case in TASKS])
def test_label_smoothing_is_an_option(task):
    parser = argparse.ArgumentParser()
    add_options(parser, task)
    args = parser.parse_args(["--label-smoothing", "0.1"])
    assert from_options(task, args).label_smoothing == 0.1
    with pytest.raises(DataError, match=r"label_smoothing must be in \[0, 1\). Received: 1.0"):
        task(label_smoothing=1.0)


def test_a_crf_has_no_label_smoothing():
    with pytest.raises(DataError, match="CRF has no label smoothing"):
        TaggingTask(crf=True, label_smoothing=0.1)
