"""JAX's side of `kbert.training.engine`: batches from threads, data parallelism over devices."""

import contextlib
from collections.abc import Callable

import jax
import keras

from kbert.training.jax_step import TrainingModel
from kbert.training.optimizers import BertAdam as Adam

__all__ = ["Adam", "TrainingModel", "as_dataset", "compile_whole_step", "devices", "xla_clusters"]


class Batches(keras.utils.PyDataset):
    """`batch(start)` and the `num_batches - 1` after it, in order, drawn ahead by threads."""

    def __init__(self, batch: Callable[[int], tuple], num_batches: int, start: int = 0):
        super().__init__(workers=2, max_queue_size=4)
        self.batch, self.length, self.start = batch, num_batches, start

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return self.batch(self.start + index)


as_dataset = Batches


class Devices:
    """All visible devices, each with a share of every batch (keras.distribution.DataParallel)."""

    def __init__(self):
        self.num_replicas_in_sync = len(jax.devices())
        if self.num_replicas_in_sync > 1:
            keras.distribution.set_distribution(keras.distribution.DataParallel())

    def scope(self):
        return contextlib.nullcontext()


devices = Devices


def compile_whole_step() -> bool:
    """Always: XLA is all that JAX has."""
    return True


xla_clusters = contextlib.nullcontext
