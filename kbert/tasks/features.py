"""Encoded examples -> padded batches: for fine-tuning, evaluation and prediction.

Pre-training has rows of one length; here every text has its own. Texts of like length share a
batch, so that little is computed for padding: the sequence axis of a batch is as long as its
longest text; in training, and where each shape is compiled, rounded up to a multiple of `MULTIPLE`,
so that there are few different ones.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

# Lengths are rounded up to it: at most 16 shapes at 128 tokens, and at most 7 tokens too many.
MULTIPLE = 8
# The input that has a vector for every token, (sequence, width), instead of a number.
TOKEN_VECTORS = "token_vectors"

Arrays = dict[str, np.ndarray]


class Feature(NamedTuple):
    """What the model sees of one example, without batch axis and padding.

    Attributes:
        inputs: the model's inputs, the sequence as last axis: (sequence,), or (choices, sequence);
            of `TOKEN_VECTORS` (sequence, width).
        example: number of the example in the list that was encoded. A long document may become
            several features (windows) of one example.
        targets: what `Task.objective` compares with; empty where the answer is not known.
        weights: how much each target counts, under the same names; need not sum to 1.
        cut: whether the text was longer than the sequence, and lost its end.
        context: what the task needs to decode the outputs (offsets, say); not seen by the model.
    """

    inputs: Arrays
    example: int
    targets: Arrays
    weights: Arrays
    cut: bool = False
    context: object = None

    @property
    def length(self) -> int:
        """Tokens in the sequence."""
        if TOKEN_VECTORS in self.inputs:
            return self.inputs[TOKEN_VECTORS].shape[0]
        return self.inputs["token_ids"].shape[-1]

    @property
    def width(self) -> int:
        """Sequences that are computed for the feature: as many as it has choices, else one."""
        return 1 if TOKEN_VECTORS in self.inputs else self.inputs["token_ids"][..., 0].size


def single_segment(token_ids: Sequence[int]) -> Arrays:
    """The model's inputs (sequence,) for the tokens of one text."""
    token_ids = np.asarray(token_ids, "int32")
    return {
        "token_ids": token_ids,
        "segment_ids": np.zeros_like(token_ids),
        "padding_mask": np.ones_like(token_ids),
    }


def pad_batch(
    features: Sequence[Feature], length: int, rows: int, token_targets: Collection[str] = ()
) -> tuple[Arrays, Arrays, Arrays]:
    """Stack features into one batch.

    Args:
        features: at most `rows` of them.
        length: size of the sequence axis, at least the longest feature's.
        rows: size of the batch axis. Rows beyond the features are zero throughout: masked, and
            without weight. They keep the shape of the last batch of an epoch that of all others.
        token_targets: names of the targets with a value for every token, which are padded as the
            inputs are: tokens are their first axis, and their weights' (unless a row has one).

    Returns:
        `(inputs, targets, weights)`. The weights of each name sum to 1, so that a sum of weighted
        losses is the batch's mean however it is divided over devices or microbatches.
    """

    def column(part: str, name: str) -> np.ndarray:
        arrays = [getattr(feature, part)[name] for feature in features]
        if part == "inputs":
            return stack(arrays, rows, length, -2 if name == TOKEN_VECTORS else -1)
        has_tokens = name in token_targets and arrays[0].ndim > 0
        return stack(arrays, rows, length if has_tokens else None, 0)

    inputs, targets, weights = (
        {name: column(part, name) for name in getattr(features[0], part)}
        for part in ("inputs", "targets", "weights")
    )
    return inputs, targets, summing_to_one(weights)


def summing_to_one(weights: Mapping[str, np.ndarray]) -> Arrays:
    """Each name's weights divided by their sum, float32."""
    # A batch may hold nothing to count (no labelled word, say): its weights stay zero.
    return {name: (w / (w.sum() or 1)).astype("float32") for name, w in weights.items()}


def stack(
    arrays: Sequence[np.ndarray], rows: int, length: int | None = None, axis: int = -1
) -> np.ndarray:
    """Arrays of one rank -> (rows, ...), zeros where one is smaller than the largest.

    Args:
        length: size of the axis `axis`; None for the largest there is.
    """
    shape = [max(sizes) for sizes in zip(*(array.shape for array in arrays), strict=True)]
    if length is not None:
        shape[axis] = length
    stacked = np.zeros((rows, *shape), arrays[0].dtype)
    for row, array in enumerate(arrays):
        stacked[(row, *map(slice, array.shape))] = array
    return stacked
