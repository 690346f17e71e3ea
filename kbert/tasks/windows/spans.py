"""Long contexts in windows, and the best spans of tokens in them: NumPy only."""

import numpy as np

# A logit of what cannot be an answer; finite, so that a row without any answer gives no NaN.
IMPOSSIBLE = -1e9


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


def maximal_context(windows: list[tuple[int, int]]) -> np.ndarray:
    """For each token the number of the window that shows most around it, int (tokens,).

    A token near the edge of a window lacks context there, so each is scored in one window only: the
    one with most tokens on the token's shorter side, of equal ones the longest, then the first (as
    in run_squad.py of google-research/bert).
    """
    begin, end = (np.array(sides)[:, None] for sides in zip(*windows, strict=True))
    place = np.arange(windows[-1][1])  # (tokens,)
    context = np.minimum(place - begin, end - 1 - place)  # (windows, tokens)
    inside = context >= 0
    return np.where(inside, context + 0.01 * (end - begin), -1).argmax(axis=0)


def score_spans(
    start_logits: np.ndarray, end_logits: np.ndarray, scored: np.ndarray, max_length: int
) -> np.ndarray:
    """S·T_i + E·T_j of every span that may be an answer (BERT paper, section 4.2).

    Args:
        start_logits, end_logits: of the context's tokens, (tokens,).
        scored: whether a span may begin at a token, bool (tokens,).
        max_length: tokens of a span at most.

    Returns:
        (tokens, max_length): row i, column k is the span from token i to token i + k; -inf for
        those that leave the context or may not begin there.
    """
    if not start_logits.size:
        return np.zeros((0, max_length))
    beyond = np.full(max_length - 1, -np.inf)
    ends = np.lib.stride_tricks.sliding_window_view(np.append(end_logits, beyond), max_length)
    return np.where(scored, start_logits, -np.inf)[:, None] + ends


def best_spans(scores: np.ndarray, count: int) -> list[tuple[float, int, int]]:
    """The `count` best of those spans: (score, first token, last token), best first.

    Of equal ones the first in the text, then the shortest.
    """
    flat = scores.ravel()
    order = np.argsort(-flat, kind="stable")[:count]
    begins, lengths = np.divmod(order, scores.shape[1])
    return [
        (float(flat[place]), int(begin), int(begin + more))
        for place, begin, more in zip(order, begins, lengths, strict=True)
        if flat[place] > -np.inf
    ]


def find_tokens(starts: np.ndarray, ends: np.ndarray, start: int, end: int) -> tuple[int, int]:
    """The first and the last token with a character of [start, end); first > last if none has.

    Args:
        starts, ends: of the tokens in characters, rising, (tokens,).
    """
    first = int(np.searchsorted(ends, start, side="right"))
    last = int(np.searchsorted(starts, end, side="left")) - 1
    return first, last


def log_sum_exp(values: np.ndarray) -> float:
    """log(sum(exp(values))), -inf for nothing."""
    highest = values.max(initial=-np.inf)
    if highest == -np.inf:
        return -np.inf
    return float(highest + np.log(np.exp(values - highest).sum()))
