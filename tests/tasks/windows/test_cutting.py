"""Windows: every piece is in one, and counts where it sees the most."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbert.tasks.windows.cutting import cut_windows, maximal_context, plan_windows

SIZES = {"length": st.integers(0, 60), "size": st.integers(1, 20), "stride": st.integers(1, 25)}


@pytest.mark.parametrize(
    ("length", "size", "stride", "expected"),
    [
        (5, 8, 2, [(0, 5)]),
        (8, 8, 2, [(0, 8)]),
        (10, 4, 2, [(0, 4), (2, 6), (4, 8), (6, 10)]),
        (9, 4, 3, [(0, 4), (3, 7), (6, 9)]),
        (7, 3, 9, [(0, 3), (3, 6), (6, 7)]),  # Never past a token.
        (0, 3, 1, [(0, 0)]),
    ],
)
def test_windows_by_hand(length, size, stride, expected):
    assert cut_windows(length, size, stride) == expected


@given(**SIZES)
def test_windows_cover_every_token(length, size, stride):
    windows = cut_windows(length, size, stride)
    assert set(range(length)) == {place for window in windows for place in range(*window)}
    assert all(end - begin <= size for begin, end in windows)
    assert len(set(windows)) == len(windows) and windows == sorted(windows)
    assert all(later[0] <= one[1] for one, later in itertools.pairwise(windows))


@given(**SIZES)
def test_each_token_has_one_window_of_maximal_context(length, size, stride):
    windows = cut_windows(length, size, stride)
    owner = maximal_context(windows)
    assert owner.shape == (length,)
    for place, number in enumerate(owner):
        sides = [
            (min(place - begin, end - 1 - place) + 0.01 * (end - begin), -index)
            for index, (begin, end) in enumerate(windows)
            if begin <= place < end
        ]
        assert -number == max(sides)[1]


def nearest_edge(place, begin, end):
    """Pieces between a place and the nearer edge of a window, None outside of it."""
    return min(place - begin, end - 1 - place) if begin <= place < end else None


@st.composite
def layouts(draw):
    """(first, last, total, size): a sentence in the pieces of its document."""
    before, own, behind = (
        draw(st.integers(0, 40)),
        draw(st.integers(1, 60)),
        draw(st.integers(0, 40)),
    )
    return before, before + own, before + own + behind, draw(st.integers(1, 20))


@given(layouts())
def test_windows_cover_the_sentence_and_stay_inside(layout):
    first, last, total, size = layout
    windows = plan_windows(*layout)
    assert windows == sorted(set(windows))
    covered = {place for window in windows for place in range(*window)}
    assert set(range(first, last)) <= covered
    for begin, end in windows:
        # Full, if there is enough to fill it.
        assert 0 <= begin and end <= total and end - begin == min(size, total)
    if last - first <= size:
        assert len(windows) == 1


@given(layouts())
def test_each_place_counts_where_the_nearer_edge_is_farthest(layout):
    first, last, _, _ = layout
    windows = plan_windows(*layout)
    chosen = maximal_context(windows)[first:last]
    for place, window in zip(range(first, last), chosen, strict=True):
        edges = [nearest_edge(place, *window) for window in windows]
        assert edges[window] == max(edge for edge in edges if edge is not None)
    # So the places of a window stand together, and windows follow each other.
    assert list(chosen) == sorted(chosen)


def test_windows_around_a_sentence_by_hand():
    windows = plan_windows(0, 10, 10, 4)
    assert windows == [(0, 4), (2, 6), (4, 8), (6, 10)]
    assert maximal_context(windows).tolist() == [0, 0, 0, 1, 1, 2, 2, 3, 3, 3]
    # A sentence of 4 pieces in a document of 20: 3 more on either side.
    assert plan_windows(8, 12, 20, 10) == [(5, 15)]
    assert plan_windows(0, 4, 20, 10) == [(0, 10)]
    assert plan_windows(17, 20, 20, 10) == [(10, 20)]
    assert maximal_context([(0, 0)]).shape == (0,)
