"""The best spans of tokens in a window: NumPy only."""

import numpy as np


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
