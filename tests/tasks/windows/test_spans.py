"""The best spans: by brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbert.tasks.windows.spans import best_spans, find_tokens, score_spans


@given(st.integers(1, 9), st.integers(1, 12), st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_spans_equal_brute_force(length, max_length, count, seed):
    rng = np.random.default_rng(seed)
    start, end = rng.normal(size=(2, length))
    scored = rng.random(length) < 0.7
    expected = [
        (start[i] + end[j], i, j)
        for i in range(length)
        for j in range(i, length)  # j >= i
        if scored[i] and j - i < max_length
    ]
    expected.sort(key=lambda span: -span[0])
    scores = score_spans(start, end, scored, max_length)
    assert best_spans(scores, count) == expected[:count]
    total = np.sum([np.exp(score) for score, _, _ in expected])
    assert np.exp(scores).sum() == pytest.approx(total)


def test_equal_spans_come_in_the_texts_order():
    scores = score_spans(np.zeros(3), np.zeros(3), np.ones(3, bool), 2)
    found = [(i, j) for _, i, j in best_spans(scores, 9)]
    assert found == [(0, 0), (0, 1), (1, 1), (1, 2), (2, 2)]


def test_no_tokens():
    scores = score_spans(np.zeros(0), np.zeros(0), np.zeros(0, bool), 3)
    assert best_spans(scores, 5) == []
    assert scores.size == 0


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, 3, (0, 0)),
        (4, 9, (1, 2)),
        (1, 2, (0, 0)),  # Inside of a token.
        (2, 5, (0, 1)),
        (3, 4, (1, 0)),  # The blank: no token.
        (10, 12, (3, 2)),
    ],
)
def test_tokens_of_characters(start, end, expected):
    # "the|cat|ty": tokens at 0-3, 4-7, 7-9
    starts, ends = np.array([0, 4, 7]), np.array([3, 7, 9])
    assert find_tokens(starts, ends, start, end) == expected
