"""Several labels a row: how they are written, what is computed, what does not fit."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, log_loss

from kbert.errors import DataError
from kbert.metrics.multilabel import multilabel_scores
from kbert.tasks import TASKS
from kbert.tasks.multilabel import MultiLabelTask
from kbert.tasks.readers.bad_rows import BadRows
from kbert.tasks.texts import TextExample
from tests.tasks.rows import tokenizer, write

TASK = MultiLabelTask(labels=("art", "food", "sport"))
LABELS = ["a", "b", "c"]


def example(*labels):
    return TextExample("a", None, labels, "here")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.tsv", "text\tlabel\nx\tart, sport\ny\t\nz\tfood\n"),
        ("rows.tsv", 'text\tlabel\nx\t["art", "sport"]\ny\t[]\nz\t["food"]\n'),
        ("rows.csv", 'text,label\nx,"art,sport"\ny,""\nz,food\n'),
        (
            "rows.jsonl",
            '{"text": "x", "label": ["art", "sport"]}\n{"text": "y", "label": []}\n'
            '{"text": "z", "label": "food"}\n',
        ),
    ],
)
def test_labels_as_they_may_be_written(tmp_path, name, content):
    examples = MultiLabelTask().read_examples(write(tmp_path, content, name))
    assert [e.label for e in examples] == [("art", "sport"), (), ("food",)]
    assert MultiLabelTask().prepare(examples, "f").labels == TASK.labels


def test_another_separator(tmp_path):
    path = write(tmp_path, "text\tlabel\nx\tred, dark|blue\n")
    (found,) = MultiLabelTask(label_separator="|").read_examples(path)
    assert found.label == ("red, dark", "blue")


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("art,,sport", "expected labels that are not empty"),
        ("art,art", "expected each label once"),
        ('["art"', "expected a list of labels in JSON"),
        ('["art", 5]', "expected labels that are not empty"),
        ("art,opera", "'opera'. Expected: 'art', 'food', 'sport'"),
    ],
)
def test_what_does_not_fit_is_named_or_counted(tmp_path, cell, expected):
    path = write(tmp_path, f"text\tlabel\nx\tart\ny\t{cell}\n")
    with pytest.raises(DataError, match=f"line 3: .*{expected}"):
        TASK.read_examples(path)
    bad = BadRows(skip=True)
    assert [e.label for e in TASK.read_examples(path, bad=bad)] == [("art",)]
    assert bad.report()["rows_bad"] == 1


def test_one_label_is_scored_as_several_are():
    gold, predicted = [("a",), ("a",), ()], [("a",), (), ()]
    alone = multilabel_scores(gold, predicted, ["a"])
    assert alone["per_label"]["a"] == {
        "precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "support": 2,
    }  # fmt: skip
    beside = multilabel_scores(gold, predicted, ["a", "b"])
    assert beside["per_label"]["a"] == alone["per_label"]["a"]
    names = ("f1_micro", "precision", "recall", "accuracy")
    assert [alone[name] for name in names] == [beside[name] for name in names]


def test_target_and_objective():
    features = TASK.encode([example("sport", "art"), example()], tokenizer)
    assert [f.targets["labels"].tolist() for f in features] == [[1, 0, 1], [0, 0, 0]]
    logits = np.array([[2.0, -1.0, 0.5], [-3.0, 0.0, 1.0]], "float32")
    weights = np.array([0.25, 0.75], "float32")
    sums = TASK.objective(
        {"logits": logits},
        {"labels": np.array([[1, 0, 1], [0, 0, 0]], "float32")},
        {"labels": weights},
    )
    p = 1 / (1 + np.exp(-logits))
    losses = [
        -np.mean([math.log(p[0, 0]), math.log(1 - p[0, 1]), math.log(p[0, 2])]),
        -np.mean([math.log(1 - value) for value in p[1]]),
    ]
    assert float(sums["loss"]) == pytest.approx(weights @ losses, rel=1e-5)


def test_answer_by_hand_and_threshold():
    logits = np.log([3.0, 1 / 3, 9.0])  # probabilities 0.75, 0.25, 0.9
    answer = TASK.decode([{"logits": logits}], example())
    assert answer["labels"] == ["sport", "art"]
    assert list(answer["probabilities"].values()) == pytest.approx([0.75, 0.25, 0.9])
    strict = MultiLabelTask(labels=TASK.labels, threshold=0.8)
    assert strict.decode([{"logits": logits}], example())["labels"] == ["sport"]
    assert TASK.decode([{"logits": np.array([-800.0, 0, 800])}], example())["labels"] == [
        "sport",
        "food",
    ]


def test_metrics_of_answers():
    answers = [
        {"labels": ["art"], "probabilities": {"art": 0.75, "food": 0.25, "sport": 0.0}},
        {"labels": ["sport"], "probabilities": {"art": 0.5, "food": 0.125, "sport": 0.875}},
    ]
    scores = TASK.metrics(answers, [example("art"), example("art", "sport")])
    assert set(TASK.metric_names) <= set(scores)
    found = [value for answer in answers for value in answer["probabilities"].values()]
    assert scores["loss"] == pytest.approx(log_loss([1, 0, 0, 1, 0, 1], found))
    # One of two rows is right throughout; 2 true positives, none false, 1 missed.
    assert scores["accuracy"] == 0.5
    assert scores["f1_micro"] == pytest.approx(0.8)
    json.dumps(scores)


row = st.sets(st.sampled_from(LABELS))


@given(st.lists(st.tuples(row, row), min_size=1, max_size=8))
def test_micro_f1_counts_all_decisions(rows):
    gold, predicted = zip(*rows, strict=True)
    scores = multilabel_scores(gold, predicted, LABELS)
    flat = [[label in row for row in side for label in LABELS] for side in (gold, predicted)]
    assert scores["f1_micro"] == pytest.approx(f1_score(*flat, zero_division=0))
    assert scores["accuracy"] == np.mean([a == b for a, b in rows])
    assert scores["f1_macro"] == pytest.approx(
        np.mean([value["f1"] for value in scores["per_label"].values()])
    )


def test_json_gives_back_the_task():
    task = MultiLabelTask(labels=("a", "b"), label_separator="|", threshold=0.3)
    stored = json.loads(json.dumps({"name": task.name, **task.to_json()}))
    assert TASKS[stored["name"]].from_json(stored) == task


@pytest.mark.parametrize("settings", [{"threshold": 0}, {"label_separator": ""}])
def test_settings_that_make_no_sense(settings):
    with pytest.raises(DataError, match="must be"):
        MultiLabelTask(**settings)


def test_no_labels_at_all():
    with pytest.raises(DataError, match="f: expected labels. No row has one"):
        MultiLabelTask().prepare([example(), example()], "f")
