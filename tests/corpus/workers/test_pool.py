"""Workers whose items take different times."""

import time

import pytest

from kbert.corpus.workers.pool import Pool


def _slept(seconds):
    if seconds < 0:
        raise ValueError("no time")
    time.sleep(seconds)
    return seconds


def _make():
    return _slept


@pytest.mark.parametrize("processes", [False, True])
def test_in_order_and_as_they_end(processes):
    """The first item takes longer than all others together."""
    items = [(seconds,) for seconds in (1.0, 0.01, 0.02, 0.03, 0.04)]
    with Pool(2, _make, processes) as pool:
        assert [(found,) for found in pool.map(items)] == items
        assert [(found,) for found in pool.map_as_done(items)] == [*items[1:], items[0]]


def test_an_error_ends_it():
    with pytest.raises(ValueError, match="no time"), Pool(2, _make, processes=False) as pool:
        list(pool.map_as_done([(0.0,), (-1.0,), (0.0,)]))
