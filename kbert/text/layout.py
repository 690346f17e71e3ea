"""Where the tokens of a pair stand in a row, for whole batches: [CLS] first [SEP] second [SEP]."""

from typing import NamedTuple

import numpy as np

NUM_SPECIAL = 3  # [CLS] and two [SEP]


class Layout(NamedTuple):
    """Arrays of shape (batch, sequence).

    `first_index` and `second_index` count a text's tokens; they mean something only where
    `is_first` or `is_second` holds.
    """

    is_first: np.ndarray
    is_second: np.ndarray
    is_separator: np.ndarray
    first_index: np.ndarray
    second_index: np.ndarray
    segment_ids: np.ndarray
    padding_mask: np.ndarray


def layout(first_length: np.ndarray, second_length: np.ndarray, sequence_length: int) -> Layout:
    """The layout of rows with one pair each; the lengths are (batch,) and fit into the row."""
    place = np.arange(sequence_length)
    first_stop = 1 + first_length[:, None]
    second_start = first_stop + 1
    second_stop = second_start + second_length[:, None]
    return Layout(
        is_first=(place >= 1) & (place < first_stop),
        is_second=(place >= second_start) & (place < second_stop),
        is_separator=(place == first_stop) | (place == second_stop),
        first_index=np.broadcast_to(place - 1, (len(first_length), sequence_length)),
        second_index=place - second_start,
        segment_ids=(place >= second_start) & (place <= second_stop),
        padding_mask=place <= second_stop,
    )
