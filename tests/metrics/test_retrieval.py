"""Retrieval: ranks by hand, and against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import label_ranking_average_precision_score, top_k_accuracy_score

from kbert.metrics import retrieval
from kbert.metrics.retrieval import query_scores


def _means(*arguments):
    return {name: each.mean() for name, each in query_scores(*arguments).items()}


def test_by_hand():
    passages = np.eye(3)
    queries = np.array([[3, 2, 1], [3, 2, 1], [3, 2, 1.0]])
    scores = _means(queries, passages, np.array([0, 1, 2]), (1, 2))
    assert scores == pytest.approx(
        {"mrr": (1 + 1 / 2 + 1 / 3) / 3, "recall@1": 1 / 3, "recall@2": 2 / 3}
    )


def test_equal_scores_are_not_right():
    scores = _means(np.ones((2, 2)), np.ones((4, 2)), np.array([0, 3]), (1,))
    assert scores == {"mrr": 0.25, "recall@1": 0.0}


def test_what_is_no_number_finds_nothing():
    queries = np.array([[np.nan, 0.0]])
    scores = _means(queries, np.eye(2), np.array([0]), (1,))
    assert scores == {"mrr": 0.5, "recall@1": 0.0}


def test_as_scikit_learn(monkeypatch):
    monkeypatch.setattr(retrieval, "_AT_ONCE", 7)
    rng = np.random.default_rng(0)
    queries, passages = rng.normal(size=(40, 5)), rng.normal(size=(15, 5))
    gold = np.concatenate([np.arange(15), rng.integers(15, size=25)])
    found = _means(queries, passages, gold, (1, 10))
    scores = queries @ passages.T
    # With one right answer a row, its average precision is 1 / rank.
    mrr = label_ranking_average_precision_score(np.eye(15)[gold], scores)
    recalls = [top_k_accuracy_score(gold, scores, k=k) for k in (1, 10)]
    assert list(found.values()) == pytest.approx([mrr, *recalls])
