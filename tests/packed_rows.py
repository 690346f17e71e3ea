"""Packed pre-training rows taken apart: what is in them, and the same with one example a row."""

from typing import NamedTuple

import numpy as np

SEP = 3


class Example(NamedTuple):
    """One example of a batch: its row, where it stands in it, and its texts before masking."""

    row: int
    columns: np.ndarray
    slot: int
    first: np.ndarray
    second: np.ndarray
    label: int


def unmasked(batch):
    """The token ids before masking."""
    inputs, targets, weights = batch
    token_ids = inputs["token_ids"].copy()
    row, slot = np.nonzero(weights["masked_lm"])
    token_ids[row, inputs["mask_positions"][row, slot]] = targets["masked_lm"][row, slot]
    return token_ids


def examples_of(batch):
    """Every example of a batch, its texts found by the [SEP]s."""
    inputs, targets, _ = batch
    for row, (token_ids, mask) in enumerate(
        zip(unmasked(batch), inputs["padding_mask"], strict=True)
    ):
        for slot in range(mask.max()):
            columns = np.flatnonzero(mask == slot + 1)
            ids = token_ids[columns]
            first, second = np.flatnonzero(ids == SEP)
            label = targets["next_sentence"][row, slot]
            yield Example(row, columns, slot, ids[1:first], ids[first + 1 : second], label)


def one_example_a_row(batch):
    """The same examples with the same masks and weights, each in a row of its own."""
    inputs, targets, weights = batch
    examples = list(examples_of(batch))
    length, slots = inputs["token_ids"].shape[1], inputs["mask_positions"].shape[1]
    apart = {
        "token_ids": np.zeros((len(examples), length), "int32"),
        "segment_ids": np.zeros((len(examples), length), "int32"),
        "padding_mask": np.zeros((len(examples), length), "int32"),
        "mask_positions": np.zeros((len(examples), slots), "int32"),
        "cls_positions": np.zeros((len(examples), 1), "int32"),
    }
    masked_lm = np.zeros((len(examples), slots), "int32")
    masked_weights = np.zeros((len(examples), slots), "float32")
    for place, (row, columns, *_) in enumerate(examples):
        used = len(columns)
        apart["token_ids"][place, :used] = inputs["token_ids"][row, columns]
        apart["segment_ids"][place, :used] = inputs["segment_ids"][row, columns]
        apart["padding_mask"][place, :used] = 1
        is_own = np.isin(inputs["mask_positions"][row], columns) & (weights["masked_lm"][row] > 0)
        own = np.flatnonzero(is_own)
        at = np.searchsorted(columns, inputs["mask_positions"][row, own])
        apart["mask_positions"][place, : len(own)] = at
        masked_lm[place, : len(own)] = targets["masked_lm"][row, own]
        masked_weights[place, : len(own)] = weights["masked_lm"][row, own]
    labels = np.array([[example.label] for example in examples])
    next_weights = np.array(
        [[weights["next_sentence"][example.row, example.slot]] for example in examples]
    )
    return (
        apart,
        {"masked_lm": masked_lm, "next_sentence": labels},
        {"masked_lm": masked_weights, "next_sentence": next_weights},
    )
