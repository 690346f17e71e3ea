"""How well texts find each other by their vectors: every query against every passage."""

from collections.abc import Sequence

import numpy as np

# Queries compared at once: of 100,000 passages 400 MB of scores.
_AT_ONCE = 1024


def retrieval_scores(
    queries: np.ndarray, passages: np.ndarray, gold: np.ndarray, depths: Sequence[int]
) -> dict:
    """Scores of queries that each have one right passage, ready for JSON.

    Args:
        queries: float (queries, width); a product of two vectors says how alike they are.
        passages: float (passages, width).
        gold: for each query the number of its passage.
        depths: how many passages are looked at.

    Returns:
        mrr: the mean of 1 / rank of the right passage among all. One that scores no more than
            another stands behind it.
        recall@N: the share of queries whose passage is among the first N, for each of `depths`.
    """
    ranks = np.concatenate(
        [
            _ranks(queries[start : start + _AT_ONCE], passages, gold[start : start + _AT_ONCE])
            for start in range(0, len(queries), _AT_ONCE)
        ]
    )
    recalls = {f"recall@{depth}": float(np.mean(ranks <= depth)) for depth in depths}
    return {"mrr": float(np.mean(1 / ranks)), **recalls}


def _ranks(queries, passages, gold) -> np.ndarray:
    scores = queries @ passages.T
    own = np.take_along_axis(scores, gold[:, None], axis=1)
    return len(passages) - np.sum(scores < own, axis=1)  # Among equals, or beside NaN, the last.
