"""How well texts find each other by their vectors: every query against every passage."""

from collections.abc import Sequence

import numpy as np

# Queries compared at once: of 100,000 passages 400 MB of scores.
_AT_ONCE = 1024


def query_scores(
    queries: np.ndarray, passages: np.ndarray, gold: np.ndarray, depths: Sequence[int]
) -> dict[str, np.ndarray]:
    """How well each of several queries finds its one right passage.

    Args:
        queries: float (queries, width); a product of two vectors says how alike they are.
        passages: float (passages, width).
        gold: for each query the number of its passage.
        depths: how many passages are looked at.

    Returns:
        Arrays (queries,); the mean of each is the score of its name.

        mrr: 1 / rank of the right passage among all. One that scores no more than another stands
            behind it.
        recall@N: whether it is among the first N, for each of `depths`.
    """
    ranks = np.concatenate(
        [
            _ranks(queries[start : start + _AT_ONCE], passages, gold[start : start + _AT_ONCE])
            for start in range(0, len(queries), _AT_ONCE)
        ]
    )
    return {"mrr": 1 / ranks} | {f"recall@{depth}": ranks <= depth for depth in depths}


def _ranks(queries, passages, gold) -> np.ndarray:
    scores = queries @ passages.T
    own = np.take_along_axis(scores, gold[:, None], axis=1)
    return len(passages) - np.sum(scores < own, axis=1)  # Among equals, or beside NaN, the last.
