"""Long texts in windows: every token is answered once, where it sees most of its neighbours.

    tokens    0 1 2 3 4 5 6 7 8 9
    window 0  [---------------)
    window 1        [---------------)

Token 5 is answered in window 0, and token 6 in window 1.
"""

import numpy as np


def cut_windows(length: int, size: int, stride: int) -> list[tuple[int, int]]:
    """Windows over `length` tokens: [begin, end) of each, in order.

    They have `size` tokens, the last one maybe fewer; each begins `stride` behind the one before,
    but never so far that a token is left out. A text without tokens has one empty window.
    """
    windows = [(0, min(size, length))]
    while windows[-1][1] < length:
        begin = windows[-1][0] + min(stride, size)
        windows.append((begin, min(begin + size, length)))
    return windows


def plan_windows(first: int, last: int, total: int, size: int) -> list[tuple[int, int]]:
    """Windows over the pieces [first, last) of `total`: [begin, end) of each, in order.

    What does not belong to the sentence fills the windows up: half of the room before it, half
    behind it. Windows overlap by half.
    """
    if total <= size:
        return [(0, total)]
    if last - first <= size:
        centred = first - (size - (last - first)) // 2
        begin = min(max(centred, 0), total - size)
        return [(begin, begin + size)]
    stride = max(size // 2, 1)
    begin, end = max(first - stride // 2, 0), min(last + stride // 2, total)
    begins = [*range(begin, end - size, stride), end - size]
    return [(begin, begin + size) for begin in begins]


def maximal_context(windows: list[tuple[int, int]]) -> np.ndarray:
    """For each token the number of the window that shows most around it, int (tokens,).

    A token near the edge of a window lacks context there, so each is scored in one window only: the
    one with most tokens on the token's shorter side, of equal ones the longest, then the first (as
    in run_squad.py of google-research/bert).
    """
    most, found = np.full(windows[-1][1], -1.0), np.zeros(windows[-1][1], int)
    for number, (begin, end) in enumerate(windows):
        place = np.arange(begin, end)
        context = np.minimum(place - begin, end - 1 - place) + 0.01 * (end - begin)
        better = context > most[begin:end]
        found[begin:end][better] = number
        most[begin:end][better] = context[better]
    return found
