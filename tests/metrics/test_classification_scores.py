"""Scores: one case by hand, and scikit-learn's own functions on random answers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from kbert.metrics.classification import classification_scores, format_confusions

THREE = ["a", "b", "c"]


def test_two_labels_by_hand():
    # Positive is "1": 2 true positives, 1 false positive, 1 false negative, 3 true negatives.
    gold = ["1", "1", "1", "0", "0", "0", "0"]
    predicted = ["1", "1", "0", "1", "0", "0", "0"]
    scores = classification_scores(gold, predicted, ["0", "1"])
    assert scores["confusion_matrix"] == [[3, 1], [1, 2]]
    assert scores["accuracy"] == pytest.approx(5 / 7)
    assert scores["f1"] == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    # (TP * TN - FP * FN) / sqrt((TP + FP)(TP + FN)(TN + FP)(TN + FN))
    assert scores["matthews"] == pytest.approx((2 * 3 - 1) / np.sqrt(3 * 3 * 4 * 4))
    assert scores["per_label"]["0"] == pytest.approx(
        {"precision": 0.75, "recall": 0.75, "f1": 0.75, "support": 4}
    )


@given(st.lists(st.tuples(st.sampled_from(THREE), st.sampled_from(THREE)), min_size=1))
def test_equals_scikit_learn(pairs):
    gold, predicted = map(list, zip(*pairs, strict=True))
    scores = classification_scores(gold, predicted, THREE)
    assert scores["accuracy"] == metrics.accuracy_score(gold, predicted)
    assert scores["accuracy"] == pytest.approx(metrics.f1_score(gold, predicted, average="micro"))
    assert scores["f1"] == scores["f1_macro"]
    assert scores["f1"] == pytest.approx(
        metrics.f1_score(gold, predicted, average="macro", zero_division=0)
    )
    if len({*gold, *predicted}) > 1:
        assert scores["matthews"] == pytest.approx(metrics.matthews_corrcoef(gold, predicted))
    assert np.sum(scores["confusion_matrix"]) == len(pairs)


def test_one_label_for_all_is_no_correlation():
    scores = classification_scores(["a", "b"], ["a", "a"], ["a", "b"])
    assert (scores["matthews"], scores["f1"]) == (0, 0)


def test_labels_that_do_not_occur_count_for_nothing():
    scores = classification_scores(["a", "a"], ["a", "a"], [*THREE, "d"])
    assert scores["f1"] == scores["f1_macro"] == scores["accuracy"] == 1


def scores_of(labels, matrix):
    places = [
        (labels[row], labels[column])
        for (row, column), count in np.ndenumerate(matrix)
        for _ in range(count)
    ]
    return classification_scores(*map(list, zip(*places, strict=True)), labels)


def test_confusion_matrix_as_a_table():
    table = format_confusions(scores_of(["no", "yes"], [[10, 2], [0, 345]]))
    assert table.splitlines() == [
        "right \\ predicted  no  yes",
        "no                 10    2",
        "yes                 0  345",
    ]
    # A Chinese character takes two columns of a terminal.
    table = format_confusions(scores_of(["否", "yes"], [[10, 2], [0, 345]]))
    assert table.splitlines()[1:] == ["否                 10    2", "yes                 0  345"]


def test_many_labels_get_a_line_each():
    labels = [f"label {number}" for number in range(30)]
    lines = format_confusions(scores_of(labels, np.eye(30, dtype=int) * 3)).splitlines()
    assert len(lines) == 31 and max(map(len, lines)) < 60
    assert lines[0].split() == ["precision", "recall", "f1", "support"]
    assert lines[-1].split() == ["label", "29", "1.0000", "1.0000", "1.0000", "3"]
