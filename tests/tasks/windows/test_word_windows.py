"""Windows: every piece is in one, and counts where it sees the most."""

from hypothesis import given
from hypothesis import strategies as st

from kbert.tasks.windows.word_windows import choose_windows, plan_windows


def nearest_edge(place, start, total, size):
    """Pieces between a place and the nearer edge of a window, None outside of it."""
    end = min(start + size, total)
    return min(place - start, end - 1 - place) if start <= place < end else None


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
    starts = plan_windows(*layout)
    assert starts == sorted(set(starts))
    covered = {place for start in starts for place in range(start, min(start + size, total))}
    assert set(range(first, last)) <= covered
    for start in starts:
        assert 0 <= start
        # Full, if there is enough to fill it.
        assert start + size <= total or (start == 0 and total < size)
    if last - first <= size:
        assert len(starts) == 1


@given(layouts())
def test_each_place_counts_where_the_nearer_edge_is_farthest(layout):
    first, last, total, size = layout
    starts = plan_windows(*layout)
    chosen = choose_windows(range(first, last), starts, total, size)
    for place, window in zip(range(first, last), chosen, strict=True):
        edges = [nearest_edge(place, start, total, size) for start in starts]
        assert edges[window] == max(edge for edge in edges if edge is not None)
    # So the places of a window stand together, and windows follow each other.
    assert list(chosen) == sorted(chosen)


def test_by_hand():
    assert plan_windows(0, 10, 10, 4) == [0, 2, 4, 6]
    assert choose_windows(range(10), [0, 2, 4, 6], 10, 4).tolist() == [0, 0, 0, 1, 1, 2, 2, 3, 3, 3]
    # A sentence of 4 pieces in a document of 20: 3 more on either side.
    assert plan_windows(8, 12, 20, 10) == [5]
    assert plan_windows(0, 4, 20, 10) == [0]
    assert plan_windows(17, 20, 20, 10) == [10]
