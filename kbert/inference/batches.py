"""Which features are computed together where no order matters."""

from collections.abc import Callable, Sequence

import numpy as np

from kbert.tasks.features import MULTIPLE


def plan_by_length(lengths: Sequence[int], rows_at: Callable[[int], int]) -> list[np.ndarray]:
    """Which features stand in which batch where no order matters: like lengths, longest first.

    Args:
        rows_at: the most features in a batch whose longest has so many tokens; at least 1.

    Returns:
        Arrays of feature numbers, each (batch,). The first of a batch is its longest.
    """
    lengths = np.asarray(lengths, "int64")
    order = np.argsort(-lengths, kind="stable")
    batches, start = [], 0
    while start < len(order):
        batches.append(order[start : start + rows_at(int(lengths[order[start]]))])
        start += len(batches[-1])
    return batches


def bucket_length(length: int, limit: int) -> int:
    """`length` rounded up to one of few sizes: 8, 16, 24, 32, 48, 64, 96, 128, 192 ... `limit`.

    Where every shape is compiled for itself, twelve up to 512 are few, and less than a third of a
    bucket is padding on account of it (half of the smallest).
    """
    step = MULTIPLE
    while length > 4 * step:
        step *= 2
    return min(-(-length // step) * step, limit)
