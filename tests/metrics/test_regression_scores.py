"""Scores of numbers: by hand, by their definitions on random numbers, and where undefined."""

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbert.metrics.regression import regression_scores

number = st.integers(-50, 50).map(lambda n: n / 4)


def pearson(a, b):
    mean_a, mean_b = statistics.mean(a), statistics.mean(b)
    products = sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True))
    return products / math.sqrt(
        sum((x - mean_a) ** 2 for x in a) * sum((y - mean_b) ** 2 for y in b)
    )


def ranks(numbers):
    """Ties share the mean of their ranks."""
    ordered = sorted(numbers)
    return [ordered.index(n) + (ordered.count(n) - 1) / 2 for n in numbers]


def test_by_hand():
    scores = regression_scores([1, 2, 3], [2, 4, 9])
    assert scores["spearman"] == pytest.approx(1)
    # Deviations (-1, 0, 1) and (-3, -1, 4): 7 / sqrt(2 * 26).
    assert scores["pearson"] == pytest.approx(7 / math.sqrt(52))
    assert scores["loss"] == pytest.approx((1 + 4 + 36) / 3)


@given(st.lists(st.tuples(number, number), min_size=2, max_size=20))
def test_equals_the_definitions(pairs):
    gold, predicted = zip(*pairs, strict=True)
    scores = regression_scores(gold, predicted)
    if len(set(gold)) > 1 and len(set(predicted)) > 1:
        assert scores["pearson"] == pytest.approx(pearson(gold, predicted))
        assert scores["spearman"] == pytest.approx(pearson(ranks(gold), ranks(predicted)))
    else:
        assert (scores["pearson"], scores["spearman"]) == (0, 0)
