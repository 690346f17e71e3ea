"""Batches where no order matters: features of like length together, padded, made ahead."""

import concurrent.futures
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from kbert.errors import DataError
from kbert.tasks.features import MULTIPLE, Feature, pad_batch

Item = TypeVar("Item")
# Most tokens in a batch, padding included. More do not keep a processor busier: on two cores 2,048
# to 4,096 were fastest at every length, and 64 rows of 512 tokens took 1.3 times as long.
MOST_TOKENS = 4096


def padded_batches(
    features: Sequence[Feature], batch_size: int, limit: int, few_shapes: bool = False
) -> Iterator[tuple[list[int], dict[str, np.ndarray]]]:
    """The numbers of the features in a batch, and its inputs: batch by batch, longest first.

    A feature of several choices is as many texts; it shares a batch with those of as many choices.

    Args:
        batch_size: texts in a batch, at most; fewer where they are long. One feature at least.
        limit: the longest sequence that the model may see.
        few_shapes: pad lengths to few sizes and batches to their most rows, where every new shape
            is compiled.
    """
    by_width: dict[int, list[int]] = {}
    for number, feature in enumerate(features):
        by_width.setdefault(feature.width, []).append(number)
    for width, numbers in sorted(by_width.items()):
        lengths = [features[number].length for number in numbers]
        if few_shapes:
            lengths = [bucket_length(length, limit) for length in lengths]

        def rows_at(length: int, width: int = width) -> int:
            return max(1, min(batch_size, MOST_TOKENS // length) // width)

        for places in plan_by_length(lengths, rows_at):
            length = lengths[places[0]]
            rows = rows_at(length) if few_shapes else len(places)
            chosen = [numbers[place] for place in places]
            inputs, _, _ = pad_batch([features[number] for number in chosen], length, rows)
            yield chosen, inputs


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


def check_sequence_length(sequence_length: int, most: int) -> None:
    """Raise `DataError` for rows without room for a token between [CLS] and [SEP], and for rows of
    more than the `most` tokens that a model takes."""
    if not 3 <= sequence_length <= most:
        raise DataError(f"sequence_length must be 3 to {most}. Received: {sequence_length}.")


def read_ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items; a thread makes the next one while the caller is at work on one."""
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        ahead = thread.submit(next, items, None)
        while (item := ahead.result()) is not None:
            ahead = thread.submit(next, items, None)
            yield item
