"""Where [CLS] a [SEP] b [SEP] is written: order, segment numbers, truncation, padding.

The rule, as in BERT: the first text and its [CLS] and [SEP] carry segment 0, the second text and
its [SEP] segment 1. A pair that is too long loses pieces from the end of its longer text, one at a
time. `WordPieceTokenizer` does the same with TensorFlow operations; a test holds the two together.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

Lengths = int | np.ndarray


def num_special_tokens(pair: bool) -> int:
    """[CLS] and [SEP], and one more [SEP] behind a second text."""
    return 3 if pair else 2


def check_sequence_length(sequence_length: int, pair: bool) -> None:
    """Raise ValueError if not even the special tokens fit."""
    needed = num_special_tokens(pair)
    if sequence_length < needed:
        raise ValueError(
            f"`sequence_length` must be at least {needed} for "
            f"{'pairs' if pair else 'single texts'}. Received: sequence_length={sequence_length}."
        )


def truncated_lengths(
    first_length: Lengths, second_length: Lengths, budget: int
) -> tuple[Lengths, Lengths]:
    """How many pieces of each text are kept when both together may have `budget`.

    Google's `_truncate_seq_pair` pops the last piece of the longer text, of the second when they
    are equal, until the pair fits. This is its result without the loop: a text may have what the
    other leaves, and always its half.

    Args:
        first_length, second_length: integers or integer arrays of one shape.
        budget: pieces for both texts, without special tokens.

    Returns:
        Two integers (or arrays): the pieces to keep of the first and the second text.
    """
    half = budget // 2
    first = np.minimum(first_length, np.maximum(budget - half, budget - second_length))
    second = np.minimum(second_length, np.maximum(half, budget - first_length))
    return first, second


def pack_segments(
    first_ids: Sequence[int],
    second_ids: Sequence[int] | None,
    sequence_length: int,
    cls_id: int,
    sep_id: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Write one row [CLS] first [SEP] (second [SEP]), cut to `sequence_length`, not padded.

    Args:
        first_ids: piece ids of the first text.
        second_ids: piece ids of the second text, or None for a single text.
        sequence_length: the most tokens that the row may have, special tokens included.
        cls_id, sep_id: ids of [CLS] and [SEP].

    Returns:
        `token_ids` and `segment_ids`, int32 (tokens,), tokens <= sequence_length.
    """
    pair = second_ids is not None
    check_sequence_length(sequence_length, pair)
    budget = sequence_length - num_special_tokens(pair)
    if not pair:
        row = [cls_id, *first_ids[:budget], sep_id]
        return np.array(row, np.int32), np.zeros(len(row), np.int32)
    first_kept, second_kept = truncated_lengths(len(first_ids), len(second_ids), budget)
    row = [cls_id, *first_ids[:first_kept], sep_id, *second_ids[:second_kept], sep_id]
    segment_ids = np.ones(len(row), np.int32)
    segment_ids[: first_kept + 2] = 0
    return np.array(row, np.int32), segment_ids


class Layout(NamedTuple):
    """Arrays (tokens,): the tokens of example after example, special ones included.

    Attributes:
        example: which example the token belongs to.
        index: where in [CLS] first [SEP] second [SEP] it stands, or in
            [CLS] first [SEP].
        first_index, second_index: where in its text; they mean something only where `is_first` or
            `is_second` holds.
    """

    example: np.ndarray
    index: np.ndarray
    is_first: np.ndarray
    is_second: np.ndarray
    is_separator: np.ndarray
    first_index: np.ndarray
    second_index: np.ndarray
    segment_ids: np.ndarray


def layout(first_length: np.ndarray, second_length: np.ndarray | None = None) -> Layout:
    """The layout of pairs of texts of these lengths, or of single texts, (examples,)."""
    pair = second_length is not None
    second_length = second_length if pair else np.zeros_like(first_length)
    length = first_length + second_length + num_special_tokens(pair)
    example = np.repeat(np.arange(len(length)), length)
    index = np.arange(len(example)) - np.repeat(np.cumsum(length) - length, length)
    first_stop = 1 + first_length[example]
    second_start = first_stop + 1
    second_stop = second_start + second_length[example]
    return Layout(
        example=example,
        index=index,
        is_first=(index >= 1) & (index < first_stop),
        is_second=(index >= second_start) & (index < second_stop),
        is_separator=(index == first_stop) | (index == second_stop),
        first_index=index - 1,
        second_index=index - second_start,
        segment_ids=index >= second_start,
    )


def pad_rows(rows: Sequence[np.ndarray], sequence_length: int, padding: int = 0) -> np.ndarray:
    """Stack rows into int32 (len(rows), sequence_length), filled up with `padding`."""
    padded = np.full((len(rows), sequence_length), padding, np.int32)
    for row, target in zip(rows, padded, strict=True):
        target[: len(row)] = row
    return padded
