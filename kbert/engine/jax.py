"""What trains on JAX: the train step, batches from threads, data parallelism over devices."""

import contextlib
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import keras
import numpy as np
from jax.experimental import multihost_utils

from kbert.engine.cluster import cluster, meet
from kbert.engine.optimizers import BertAdam as Adam
from kbert.engine.training_model import GROWTH_STEPS, BaseTrainingModel
from kbert.errors import DataError

__all__ = [
    "Adam",
    "TrainingModel",
    "WORKER_LOST",
    "as_dataset",
    "compile_whole_step",
    "devices",
    "gradients_forgotten",
    "sum_over_workers",
    "xla_clusters",
]

# What is raised where another worker of a cluster does not answer any more.
WORKER_LOST = (jax.errors.JaxRuntimeError,)
_HEARTBEAT = 30  # Seconds after which a worker that says nothing has gone.


class TrainingModel(BaseTrainingModel):
    """`BaseTrainingModel` as pure functions of the state, compiled whole by XLA.

    Devices need no step of their own: XLA splits the global batch over them and adds up
    (keras.distribution.DataParallel). Keras keeps the state of a running `fit` outside of the
    variables; `synchronise` writes it back.
    """

    counts = "int32"  # JAX has no 64 bits unless told.

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._score = jax.jit(self._sums)  # Compiled once, not for every score of a run.

    def train_step(self, state, data):
        trainable, others, optimizer_state, metrics = state
        counters = dict(zip((v.path for v in self.non_trainable_variables), others, strict=True))
        step, scale = counters[self.data_step.path], counters[self.loss_scale.path]
        gradients, sums = self._batch(trainable, data, step * self.accumulate, scale)
        norm = jnp.sqrt(sum(jnp.sum(jnp.square(g)) for g in gradients)) / scale
        finite = jnp.isfinite(norm)
        factor = 1 / scale
        if self.clip_norm is not None:
            factor *= self.clip_norm / jnp.maximum(norm, self.clip_norm)
        gradients = [gradient * factor for gradient in gradients]
        with keras.StatelessScope(zip(self.optimizer.variables, optimizer_state, strict=True)):
            rate = jnp.asarray(self.optimizer.learning_rate, "float32")
        trainable, optimizer_state = jax.lax.cond(
            finite,
            lambda: self.optimizer.stateless_apply(optimizer_state, gradients, trainable),
            lambda: (trainable, optimizer_state),
        )
        counters |= self._counted(counters, finite)
        logs = {**sums, "gradient_norm": norm, "loss_scale": scale, "learning_rate": rate}
        return logs, (trainable, list(counters.values()), optimizer_state, metrics)

    def evaluate_sums(self, dataset) -> dict[str, float]:
        """The objective's sums over all batches of a dataset: means, where all weights sum to 1."""
        self.synchronise()
        trainable = [variable.value for variable in self.trainable_variables]
        totals = {}
        for index in range(len(dataset)):
            for name, value in self._score(trainable, _on_devices(dataset[index])).items():
                totals[name] = totals.get(name, 0.0) + float(value)
        return totals

    def _sums(self, trainable, data):
        inputs, targets, weights = data
        with keras.StatelessScope(zip(self.trainable_variables, trainable, strict=True)):
            return self.objective(self.model(inputs, training=False), targets, weights)

    def synchronise(self) -> None:
        self.jax_state_sync()

    def _batch(self, trainable, data, number, scale, *move):
        """The batch's sums of gradients and of the objective, one microbatch after another.

        `move` is handed on to `_moved`.
        """
        differentiate = jax.grad(self._microbatch, has_aux=True)
        if self.accumulate == 1:
            return differentiate(trainable, data, number, scale, *move)

        # Every n-th row, so that a microbatch lies on all devices as the batch does.
        def split(array):
            parts = jnp.reshape(array, (-1, self.accumulate, *array.shape[1:]))
            return jnp.swapaxes(parts, 0, 1)

        parts = jax.tree.map(split, data)

        def add(index, totals):
            part = jax.tree.map(lambda array: array[index], parts)
            found = differentiate(trainable, part, number + index, scale, *move)
            return jax.tree.map(jnp.add, totals, found)

        first = differentiate(trainable, jax.tree.map(lambda a: a[0], parts), number, scale, *move)
        return jax.lax.fori_loop(1, self.accumulate, add, first)

    def _sum_over_devices(self, values):
        """As they are: a value of the global batch is the sum already."""
        return values

    def _microbatch(self, trainable, data, number, scale, *move):
        inputs, targets, weights = data
        states = [*zip(self.trainable_variables, trainable, strict=True), *self._states(number)]
        with keras.StatelessScope([*states, *self._moved(trainable, *move)]):
            sums = self.objective(self.model(inputs, training=True), targets, weights)
        return sums["loss"] * scale, sums

    def _counted(self, counters, finite):
        scale, steps = counters[self.loss_scale.path], counters[self.finite_steps.path]
        new = {self.data_step.path: counters[self.data_step.path] + 1}
        if self.scales_loss:
            steps = jnp.where(finite, steps + 1, 0)
            grown = jnp.where(steps >= GROWTH_STEPS, 2.0, 1.0)
            new[self.loss_scale.path] = scale * jnp.where(finite, grown, 0.5)
            new[self.finite_steps.path] = jnp.where(steps >= GROWTH_STEPS, 0, steps)
        return new


class Batches(keras.utils.PyDataset):
    """`batch(start)` and the `num_batches - 1` after it, in order, drawn ahead by threads.

    Of a cluster's worker: its share of the rows of each.
    Whether the shapes of batches are fixed makes no difference: XLA compiles each.
    """

    def __init__(
        self,
        batch: Callable[[int], tuple],
        num_batches: int,
        start: int = 0,
        fixed_shapes: bool = True,
    ):
        super().__init__(workers=2, max_queue_size=4)
        self.batch, self.length, self.start = batch, num_batches, start

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        batch = self.batch(self.start + index)
        return jax.tree.map(lambda array: array[cluster().share(len(array))], batch)


as_dataset = Batches


class Devices:
    """All visible devices, each with a share of every batch (keras.distribution.DataParallel).

    Of a cluster's worker: those of all workers, once they have met. Raises `DataError` where they
    do not, or JAX has computed before they could.
    """

    def __init__(self):
        if cluster().count > 1:
            _join()
        self.num_replicas_in_sync = len(jax.devices())
        if self.num_replicas_in_sync > 1:
            # The batches are a worker's share already.
            distribution = keras.distribution.DataParallel(auto_shard_dataset=False)
            keras.distribution.set_distribution(distribution)

    def scope(self):
        return contextlib.nullcontext()


@functools.cache
def devices() -> Devices:
    """The devices of this process, always the same."""
    return Devices()


def _join():
    """Make this process one of the cluster's for JAX; the chief's port is the coordinator's."""
    meet(cluster())
    try:
        jax.distributed.initialize(
            cluster().addresses[0],
            cluster().count,
            cluster().index,
            heartbeat_timeout_seconds=_HEARTBEAT,
        )
    except RuntimeError as error:
        raise DataError(
            "The workers of a cluster must meet before JAX computes anything. Read the model that "
            f"the run starts from after kbert.engine.jax.devices(). ({error})"
        ) from error


def _on_devices(data):
    """A batch, of which this worker has its share, divided among the devices of all."""
    distribution = keras.distribution.distribution()
    if distribution is None:
        return data

    def divided(array):
        layout = distribution.get_data_layout(array.shape).backend_layout
        return jax.make_array_from_process_local_data(layout, array)

    return jax.tree.map(divided, data)


def sum_over_workers(numbers: np.ndarray) -> np.ndarray:
    """The sum of an int32 array, (numbers,), over all workers of a cluster."""
    return multihost_utils.process_allgather(numbers).sum(axis=0, dtype="int32")


def compile_whole_step() -> bool:
    """Always: XLA is all that JAX has."""
    return True


xla_clusters = gradients_forgotten = contextlib.nullcontext
