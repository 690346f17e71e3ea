"""Encoded examples -> padded batches: for fine-tuning, evaluation and prediction.

Pre-training has rows of one length; here every text has its own. Texts of like length share a
batch, so that little is computed for padding: the sequence axis of a batch is as long as its
longest text, rounded up to a multiple of `MULTIPLE`, so that there are few different shapes.
"""

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import numpy as np

# Lengths are rounded up to it: at most 16 shapes at 128 tokens, and at most 7 tokens too many.
MULTIPLE = 8
# Batches a window in which texts are sorted by length. More would pad less, but put the same texts
# together every epoch.
WINDOW = 50
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


def single_segment(token_ids: Sequence[int]) -> Arrays:
    """The model's inputs (sequence,) for the tokens of one text."""
    token_ids = np.asarray(token_ids, "int32")
    return {
        "token_ids": token_ids,
        "segment_ids": np.zeros_like(token_ids),
        "padding_mask": np.ones_like(token_ids),
    }


def padded_length(length: int, limit: int) -> int:
    """`length` rounded up to a multiple of `MULTIPLE`, but not above `limit`."""
    return min(-(-length // MULTIPLE) * MULTIPLE, limit)


def pad_batch(
    features: Sequence[Feature], length: int, rows: int, token_targets: Collection[str] = ()
) -> tuple[Arrays, Arrays, Arrays]:
    """Stack features into one batch.

    Args:
        features: at most `rows` of them.
        length: size of the sequence axis, at least the longest feature's.
        rows: size of the batch axis. Rows beyond the features are zero throughout: masked, and
            without weight. They keep the shape of the last batch of an epoch that of all others.
        token_targets: names of the targets with a value for every token; padded as the inputs are.

    Returns:
        `(inputs, targets, weights)`. The weights of each name sum to 1, so that a sum of weighted
        losses is the batch's mean however it is divided over devices or microbatches.
    """

    def column(part: str, name: str) -> np.ndarray:
        size = length if part == "inputs" or name in token_targets else None
        axis = -2 if name == TOKEN_VECTORS else -1
        return stack([getattr(feature, part)[name] for feature in features], rows, size, axis)

    inputs, targets, weights = (
        {name: column(part, name) for name in getattr(features[0], part)}
        for part in ("inputs", "targets", "weights")
    )
    for name, weight in weights.items():
        # A batch may hold nothing to count (no labelled word, say): its weights stay zero.
        weights[name] = (weight / (weight.sum() or 1)).astype("float32")
    return inputs, targets, weights


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


def plan_epoch(lengths: Sequence[int], batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """Which features stand in which batch of an epoch: a pure function of its arguments.

    All features are shuffled, sorted by length within windows of `WINDOW` batches, and the batches
    are shuffled again. Every feature stands in exactly one batch; only one may be smaller.

    Returns:
        Arrays of feature numbers, each (batch,).
    """
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(lengths))
    lengths = np.asarray(lengths)
    batches = []
    for start in range(0, len(order), WINDOW * batch_size):
        window = order[start : start + WINDOW * batch_size]
        window = window[np.argsort(lengths[window], kind="stable")]
        batches += [window[i : i + batch_size] for i in range(0, len(window), batch_size)]
    return [batches[i] for i in rng.permutation(len(batches))]


class TrainingBatches:
    """The batches of all epochs by number: batch i of epoch e has the number `e * len(self) + i`.

    Calling it with a number gives `(inputs, targets, weights)`, each time the same.
    """

    def __init__(
        self,
        features: Sequence[Feature],
        batch_size: int,
        seed: int,
        limit: int,
        token_targets: Collection[str] = (),
    ):
        """`limit` is the longest sequence that the model may see."""
        self.features = features
        self.batch_size = batch_size
        self.seed = seed
        self.limit = limit
        self.token_targets = token_targets
        self._plan = (None, [])

    def __len__(self) -> int:
        """Batches in one epoch."""
        return -(-len(self.features) // self.batch_size)

    def __call__(self, number: int) -> tuple[Arrays, Arrays, Arrays]:
        epoch, index = divmod(int(number), len(self))
        chosen = [self.features[i] for i in self.plan(epoch)[index]]
        longest = max(feature.length for feature in chosen)
        length = padded_length(longest, self.limit)
        return pad_batch(chosen, length, self.batch_size, self.token_targets)

    def plan(self, epoch: int) -> list[np.ndarray]:
        planned, plan = self._plan
        if planned != epoch:
            lengths = [feature.length for feature in self.features]
            plan = plan_epoch(lengths, self.batch_size, self.seed, epoch)
            # One assignment: a reader in another thread sees the old pair or the new one.
            self._plan = (epoch, plan)
        return plan


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
