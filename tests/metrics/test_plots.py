"""Pictures of scores: drawn from what the scores are of, the same for the same answers."""

import numpy as np
import pytest

from kbert.errors import DataError
from kbert.finetuning.evaluate import evaluate
from kbert.metrics.plots import confidences, plot_labels
from kbert.tasks.classification import ClassificationTask
from kbert.tasks.multilabel import MultiLabelTask
from kbert.tasks.regression import RegressionTask
from kbert.tasks.texts import TextExample

LABELS = ("bad", "good", "中性")


def found_of(task, rows=30):
    """Answers of a task to random logits, and what is drawn of them."""
    rng = np.random.default_rng(0)
    answers = [task.decode([{"logits": rng.normal(size=3)}], None) for _ in range(rows)]
    several = isinstance(task, MultiLabelTask)
    labels = rng.integers(0, 2, (rows, 3)) if several else rng.integers(0, 2, rows)
    gold = [tuple(np.array(LABELS)[row == 1]) if several else LABELS[row] for row in labels]
    examples = [TextExample("a", None, label, "") for label in gold]
    return answers, examples, task.label_probabilities(answers, examples)


def test_a_classifiers_answers_are_its_likeliest():
    task = ClassificationTask(labels=LABELS)
    answers, examples, found = found_of(task)
    confidence, is_right = confidences(found)
    np.testing.assert_allclose(confidence, [answer["score"] for answer in answers])
    assert is_right.mean() == pytest.approx(task.metrics(answers, examples)["accuracy"])


def test_of_several_labels_each_is_an_answer():
    task = MultiLabelTask(labels=LABELS)
    answers, examples, found = found_of(task)
    confidence, is_right = confidences(found)
    assert len(confidence) == len(is_right) == 3 * len(examples)
    assert is_right.sum() == sum(len(example.label) for example in examples)
    assert confidence[1] == answers[0]["probabilities"]["good"]


@pytest.mark.parametrize("task", [ClassificationTask, MultiLabelTask])
@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_a_picture_is_the_same_for_the_same_answers(task, suffix, tmp_path):
    pytest.importorskip("matplotlib")
    _, _, found = found_of(task(labels=LABELS))
    files = [tmp_path / f"{name}{suffix}" for name in "ab"]
    for file in files:
        plot_labels(file, found)
    one, other = (file.read_bytes() for file in files)
    assert len(one) > 1000 and one == other


def test_what_has_no_picture(tmp_path):
    with pytest.raises(DataError, match="The task regression has no picture"):
        evaluate(RegressionTask(), None, "none.tsv", plot=tmp_path / "a.png")
