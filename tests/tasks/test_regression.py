"""Regression: numbers in and out, and the files of similarities as they are published."""

import json

import numpy as np
import pytest

from kbert.errors import DataError
from kbert.tasks import TASKS
from kbert.tasks.readers.bad_rows import BadRows
from kbert.tasks.regression import RegressionTask
from kbert.tasks.texts import TextExample
from tests.tasks.rows import tokenizer, write

TASK = RegressionTask(mean=2.0, deviation=0.5)


def example(label):
    return TextExample("a", None, label, "here")


def test_training_numbers_are_standardized_and_answers_are_not():
    task = RegressionTask().prepare([example(n) for n in (0.0, 5.0, 4.0, 3.0)], "f")
    assert task.mean == 3.0
    assert task.deviation == pytest.approx(np.std([0, 5, 4, 3]))
    (feature,) = TASK.encode([example(3.0)], tokenizer)
    assert float(feature.targets["value"]) == pytest.approx(2.0)
    assert TASK.decode([{"value": np.array([2.0])}], example(None)) == {"value": 3.0}


def test_objective_is_the_weighted_squared_error():
    sums = TASK.objective(
        {"value": np.array([[1.0], [3.0]], "float32")},
        {"value": np.array([0.0, 1.0], "float32")},
        {"value": np.array([0.75, 0.25], "float32")},
    )
    assert float(sums["loss"]) == pytest.approx(0.75 * 1 + 0.25 * 4)


def test_json_gives_back_the_task():
    task = RegressionTask(mean=1.5, deviation=2.0, second_column="b", label_column="score")
    stored = json.loads(json.dumps({"name": task.name, **task.to_json()}))
    assert TASKS[stored["name"]].from_json(stored) == task


def test_metrics_hold_what_an_epoch_is_chosen_by():
    answers = [{"value": 1.0}, {"value": 2.5}]
    scores = TASK.metrics(answers, [example(1.0), example(2.0)])
    assert set(TASK.metric_names) <= set(scores)
    assert scores["squared_error"] == pytest.approx(0.125)
    # The loss of the same answers in training, where numbers count in deviations of 0.5.
    outputs = {"value": np.array([[-2.0], [1.0]], "float32")}
    features = TASK.encode([example(1.0), example(2.0)], tokenizer)
    targets = {"value": np.stack([feature.targets["value"] for feature in features])}
    trained = TASK.objective(outputs, targets, {"value": np.full(2, 0.5, "float32")})
    assert [TASK.decode([{"value": row}], None) for row in outputs["value"]] == answers
    assert scores["loss"] == pytest.approx(float(trained["loss"])) == pytest.approx(0.5)
    assert "units: 0.1250" in TASK.report(scores)


@pytest.mark.parametrize("cell", ["high", "", "nan", "inf"])
def test_what_is_no_number_is_named_or_counted(tmp_path, cell):
    path = write(tmp_path, f"text\tlabel\nx\t1\ny\t{cell}\nz\t2\n")
    with pytest.raises(DataError, match=f"line 3: expected a number as label. Received: '{cell}'"):
        RegressionTask().read_examples(path)
    bad = BadRows(skip=True)
    assert [e.label for e in RegressionTask().read_examples(path, bad=bad)] == [1.0, 2.0]
    assert bad.report()["rows_bad"] == 1
    assert "line 3" in bad.messages[0]


def test_numbers_that_cannot_be_learned():
    with pytest.raises(DataError, match="expected different numbers. All are 3"):
        RegressionTask().prepare([example(3.0), example(3.0)], "f")


@pytest.mark.parametrize(
    ("name", "columns", "rows"),
    [
        ("glue/STS-B/dev.tsv", ("sentence1", "sentence2", "score", True), 1500),
        ("sick/SICK.txt", ("sentence_A", "sentence_B", "relatedness_score", True), 4927),
        ("zh/csts/Chinese-STS-B/sts-b-dev.txt", ("0", "1", "2", False), 1458),
    ],
)
def test_files_as_they_are_published(shared_data, name, columns, rows):
    text, second, label, header = columns
    task = RegressionTask(text_column=text, second_column=second, label_column=label, header=header)
    examples = task.read_examples(shared_data(name))
    assert len(examples) == rows
    assert 0 <= min(e.label for e in examples) < max(e.label for e in examples) <= 5
