"""Which training rows share a batch, and the batches of all epochs."""

import abc
from collections.abc import Collection, Sequence
from typing import ClassVar

import numpy as np

from kbert.inference.batches import bucket_length
from kbert.inference.forward import compiles_shapes
from kbert.tasks.features import MULTIPLE, Arrays, Feature, pad_batch

# Batches a window in which texts are sorted by length. More would pad less, but put the same texts
# together every epoch.
WINDOW = 50


def padded_length(length: int, limit: int) -> int:
    """`length` rounded up to a multiple of `MULTIPLE`, but not above `limit`.

    To one of few sizes where every shape is compiled for itself.
    """
    if compiles_shapes():
        return bucket_length(length, limit)
    return min(-(-length // MULTIPLE) * MULTIPLE, limit)


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


class EpochBatches(abc.ABC):
    """The batches of all epochs by number: batch i of epoch e has the number `e * len(self) + i`.

    Calling it with a number gives `(inputs, targets, weights)`, each time the same.

    Attributes:
        one_shape: whether all batches have the same shapes.

    Args:
        features: what is learned from in each epoch.
        batch_size: features of a batch.
        seed: of the order.
        limit: the longest sequence that the model may see.
        token_targets: names of the targets that have a value for every token.
    """

    one_shape: ClassVar[bool] = False

    def __init__(
        self,
        features: Sequence[Feature],
        batch_size: int,
        seed: int,
        limit: int,
        token_targets: Collection[str] = (),
    ):
        self.features = features
        self.batch_size = batch_size
        self.seed = seed
        self.limit = limit
        self.token_targets = token_targets
        self._plan = (None, [])

    def __len__(self) -> int:
        """Batches in one epoch."""
        return -(-len(self.features) // self.batch_size)

    @abc.abstractmethod
    def __call__(self, number: int) -> tuple[Arrays, Arrays, Arrays]:
        """The batch of a number."""

    @abc.abstractmethod
    def draw(self, epoch: int) -> list[np.ndarray]:
        """Which features stand in which batch of an epoch: feature numbers (batch,)."""

    def num_tokens(self, number: int) -> int:
        """How many positions of a batch are no padding."""
        masks = (feature.inputs["padding_mask"] for feature in self.chosen(number))
        return sum(np.count_nonzero(mask) for mask in masks)

    def chosen(self, number: int) -> list[Feature]:
        """The features of a batch, in their order."""
        epoch, index = divmod(int(number), len(self))
        return [self.features[i] for i in self.plan(epoch)[index]]

    def plan(self, epoch: int) -> list[np.ndarray]:
        """`draw`, once for all batches of an epoch."""
        planned, plan = self._plan
        if planned != epoch:
            plan = self.draw(epoch)
            # One assignment: a reader in another thread sees the old pair or the new one.
            self._plan = (epoch, plan)
        return plan


class TrainingBatches(EpochBatches):
    """Batches of features of like length, each in a row of its own."""

    def draw(self, epoch: int) -> list[np.ndarray]:
        return plan_epoch(
            [feature.length for feature in self.features], self.batch_size, self.seed, epoch
        )

    def __call__(self, number: int) -> tuple[Arrays, Arrays, Arrays]:
        chosen = self.chosen(number)
        length = padded_length(max(feature.length for feature in chosen), self.limit)
        return pad_batch(chosen, length, self.batch_size, self.token_targets)
