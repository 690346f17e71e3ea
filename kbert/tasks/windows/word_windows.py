"""Long sentences in windows: every word is scored once, where it sees most of its neighbours.

    pieces    0 1 2 3 4 5 6 7 8 9
    window 0  [---------------)
    window 1        [---------------)

A piece that stands in both counts in the one where the nearer edge is farther away (as "max
context" in google-research's run_squad.py).
"""

from collections.abc import Sequence

import numpy as np


def plan_windows(first: int, last: int, total: int, size: int) -> list[int]:
    """Where windows begin that cover the pieces [first, last) of a sequence of `total`.

    What does not belong to the sentence fills the windows up: half of the room before it, half
    behind it. Windows overlap by half.
    """
    if total <= size:
        return [0]
    if last - first <= size:
        centred = first - (size - (last - first)) // 2
        return [min(max(centred, 0), total - size)]
    stride = max(size // 2, 1)
    begin, end = max(first - stride // 2, 0), min(last + stride // 2, total)
    starts = list(range(begin, end - size, stride))
    return [*starts, end - size]


def choose_windows(
    places: Sequence[int], starts: Sequence[int], total: int, size: int
) -> np.ndarray:
    """For each piece the number of the window in which the nearer edge is farthest away.

    Args:
        places: of the pieces, each in at least one window.
        starts: of the windows.
        total: pieces of the whole sequence.
        size: pieces in a window.

    Returns int (pieces,); of equal windows the first.
    """
    place, start = np.asarray(places)[:, None], np.asarray(starts)[None]
    end = np.minimum(start + size, total)
    context = np.minimum(place - start, end - 1 - place)  # negative outside
    return context.argmax(axis=1)
