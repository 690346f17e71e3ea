"""Packing against the plainest form of the algorithm, and how full the rows become."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbert.text.packing import fill_rows, pack

CAPACITY = 20
lengths_of = st.lists(st.integers(1, CAPACITY), min_size=1, max_size=60).map(np.array)


def plain_best_fit(lengths, capacity):
    """How full each row is: longest first, each into the fullest row where it fits."""
    rows = []
    for length in sorted(lengths, reverse=True):
        fitting = [row for row, used in enumerate(rows) if used + length <= capacity]
        if fitting:
            rows[max(fitting, key=rows.__getitem__)] += length
        else:
            rows.append(length)
    return sorted(rows)


def loads(rows, lengths):
    return np.bincount(rows, lengths[: len(rows)])


def test_by_hand():
    # 7 + 3, 6 + 4, 5 + 5, 2: the 4 beside the 6, though the 5 has room too.
    rows = pack(np.array([2, 3, 4, 5, 5, 6, 7]), 10, 9)
    assert sorted(loads(rows, np.array([2, 3, 4, 5, 5, 6, 7]))) == [2, 10, 10, 10]
    assert rows[1] == rows[6] and rows[2] == rows[5] and rows[3] == rows[4]


@given(lengths_of)
def test_equals_the_plain_algorithm(lengths):
    rows = pack(lengths, CAPACITY, most=CAPACITY)
    assert sorted(loads(rows, lengths)) == plain_best_fit(lengths, CAPACITY)


@given(lengths_of, st.integers(1, 4))
def test_rows_hold_so_many_at_most(lengths, most):
    rows = pack(lengths, CAPACITY, most)
    assert loads(rows, lengths).max() <= CAPACITY
    counts = np.bincount(rows)
    assert 1 <= counts.min() and counts.max() <= most


@given(lengths_of, st.integers(1, 4), st.integers(1, 8))
def test_rows_take_the_front_of_the_stream(lengths, most, rows):
    """The stream is long enough: what it holds would fill the rows, or all their slots."""
    stream = np.resize(lengths, rows * CAPACITY)[: rows * most]
    placed = fill_rows(stream, rows, CAPACITY, most)
    assert set(placed) == set(range(rows))
    assert loads(placed, stream).max() <= CAPACITY
    assert np.bincount(placed).max() <= most
    if most == 1:
        assert len(placed) == rows


@pytest.mark.parametrize("seed", range(3))
def test_rows_are_full(seed):
    lengths = np.random.default_rng(seed).integers(5, 110, 4000)
    placed = fill_rows(lengths, 500, 128, 16)
    assert lengths[: len(placed)].sum() / (500 * 128) > 0.98
