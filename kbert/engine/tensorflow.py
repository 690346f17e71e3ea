"""What trains on TensorFlow: the train step under any strategy, batches drawn ahead."""

import contextlib
import functools
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from kbert.engine.cluster import cluster
from kbert.engine.devices import compile_whole_step, xla_clusters
from kbert.engine.devices import strategy as devices
from kbert.engine.fused_adam import FusedBertAdam as Adam
from kbert.engine.optimizers import BertAdam
from kbert.engine.traces import gradients_forgotten
from kbert.engine.training_model import GROWTH_STEPS, BaseTrainingModel

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
WORKER_LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError)


class TrainingModel(BaseTrainingModel):
    """`BaseTrainingModel` under any tf.distribute strategy.

    Each replica's forward and backward pass is a function of its own (compiled by XLA with
    `jit_step`); the sum over replicas, the test that all is finite, clipping and the update stand
    outside, because Keras's own `jit_compile` fails under MirroredStrategy (keras issue 19809), and
    its optimizer clips before it reduces.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._differentiate = tf.function(
            self._microbatch, jit_compile=self.jit_step, autograph=False
        )
        # Traced once, not for every score of a run.
        self._score = tf.function(
            lambda data: self.distribute_strategy.run(self.test_step, args=(data,)),
            autograph=False,
        )

    def compile(self, optimizer):
        super().compile(optimizer, jit_compile=False)

    def fit(self, x, **kwargs):
        """Train on what `as_dataset` gives."""
        return super().fit(self._on_devices(x), **kwargs)

    def _maybe_symbolic_build(self, *args, **kwargs):
        """Nothing: the model is built, and Keras would compute with a batch of several workers."""

    def _make_function(self, step_function):
        """A step on an iterator's next batch: Keras's, without its mean over the replicas.

        The logs are sums over all replicas, the same in each; Keras's mean fails on several
        workers.
        """
        strategy = self.distribute_strategy

        @tf.function(reduce_retracing=True, autograph=False)
        def step(data):
            logs = strategy.run(step_function, args=(data,))
            return {
                name: strategy.experimental_local_results(value)[0] for name, value in logs.items()
            }

        @tf.function(reduce_retracing=True, autograph=False)
        def next_step(iterator):
            return step(iterator.get_next())

        def function(iterator):
            in_graph = isinstance(iterator, tf.data.Iterator | tf.distribute.DistributedIterator)
            with self._compiling():
                return next_step(iterator) if in_graph else step(next(iterator))

        return function

    def _compiling(self):
        """The context of a step alone: callbacks compute other shapes, for which XLA would compile
        anew."""
        return xla_clusters() if self.jit_clusters else contextlib.nullcontext()

    def _on_devices(self, dataset):
        """The dataset with each batch divided among the devices of this worker."""
        strategy = self.distribute_strategy
        if cluster().count == 1:
            return strategy.experimental_distribute_dataset(dataset)
        here = strategy.num_replicas_in_sync // cluster().count
        return strategy.distribute_datasets_from_function(lambda _: divided(dataset, here))

    def train_step(self, data):
        gradients, sums = self._sum_over_devices(self._batch(data))
        norm = tf.linalg.global_norm(gradients) / self.loss_scale
        finite = tf.math.is_finite(norm)
        scale = 1 / self.loss_scale
        if self.clip_norm is not None:
            scale *= self.clip_norm / tf.maximum(norm, self.clip_norm)
        logs = {
            **sums,
            "gradient_norm": norm,
            "loss_scale": tf.identity(self.loss_scale.value),
            "learning_rate": tf.cast(self.optimizer.learning_rate, "float32"),
        }
        tf.distribute.get_replica_context().merge_call(
            self._update, args=(gradients, scale, finite)
        )
        self._count(finite)
        return logs

    def test_step(self, data):
        inputs, targets, weights = data
        sums = self.objective(self.model(inputs, training=False), targets, weights)
        return self._sum_over_devices(sums)

    def _sum_over_devices(self, values):
        replica = tf.distribute.get_replica_context()
        return replica.all_reduce(tf.distribute.ReduceOp.SUM, values)

    def evaluate_sums(self, dataset) -> dict[str, float]:
        """The objective's sums over all batches of a dataset: means, where all weights sum to 1."""
        strategy = self.distribute_strategy
        totals = {}
        for data in self._on_devices(dataset):
            with self._compiling():
                scores = self._score(data)
            for name, value in scores.items():
                value = strategy.experimental_local_results(value)[0]
                totals[name] = totals.get(name, 0.0) + float(value)
        return totals

    def _batch(self, data, *move):
        """This replica's sums of gradients and of the objective, one microbatch after another.

        `move` is handed on to `_moved`.
        """
        replica = tf.distribute.get_replica_context()
        number = tf.cast(replica.replica_id_in_sync_group, "int64") * self.accumulate
        number += self.data_step.value * self.accumulate * replica.num_replicas_in_sync
        if self.accumulate == 1:
            return self._differentiate(data, number, self.loss_scale.value, *move)
        parts = tf.nest.map_structure(
            lambda x: tf.reshape(x, tf.concat([(self.accumulate, -1), tf.shape(x)[1:]], axis=0)),
            data,
        )
        totals = self._differentiate(
            tf.nest.map_structure(lambda x: x[0], parts), number, self.loss_scale.value, *move
        )

        def add(index, totals):
            part = tf.nest.map_structure(lambda x: x[index], parts)
            position = number + tf.cast(index, "int64")
            new = self._differentiate(part, position, self.loss_scale.value, *move)
            return index + 1, tf.nest.map_structure(tf.add, totals, new)

        _, totals = tf.while_loop(
            lambda index, _: index < self.accumulate, add, (1, totals), parallel_iterations=1
        )
        return totals

    def _microbatch(self, data, number, loss_scale, *move):
        inputs, targets, weights = data
        variables = [variable.value for variable in self.model.trainable_variables]
        with tf.GradientTape() as tape:
            # Within the tape: a moved weight is a function of the weight.
            states = [*self._states(number), *self._moved(variables, *move)]
            with keras.StatelessScope(states):
                sums = self.objective(self.model(inputs, training=True), targets, weights)
            loss = sums["loss"] * loss_scale
        gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
        return [tf.convert_to_tensor(gradient) for gradient in gradients], sums

    def _update(self, strategy, gradients, scale, finite):
        """Outside the replicas: one update of the mirrored weights, if all gradients are finite."""
        finite = strategy.experimental_local_results(finite)[0]

        # Not `optimizer.apply`, which works inside a replica only, and would add the gradients of
        # all replicas once more.
        def update(variable, gradient, scale, learning_rate):
            if isinstance(self.optimizer, BertAdam):  # It spares a pass over all gradients.
                self.optimizer.update_step(gradient, variable, learning_rate, scale)
            else:
                self.optimizer.update_step(gradient * scale, variable, learning_rate)

        def apply():
            learning_rate = self.optimizer.learning_rate
            for gradient, variable in zip(gradients, self.model.trainable_variables, strict=True):
                strategy.extended.update(
                    variable.value, update, args=(gradient, scale, learning_rate), group=False
                )
            self.optimizer.iterations.assign_add(1)
            return True

        tf.cond(finite, apply, lambda: False)

    def _count(self, finite):
        self.data_step.assign_add(1)
        if not self.scales_loss:
            return
        steps = tf.where(finite, self.finite_steps.value + 1, 0)
        grown = tf.where(steps >= GROWTH_STEPS, 2.0, 1.0)
        self.loss_scale.assign(self.loss_scale.value * tf.where(finite, grown, 0.5))
        self.finite_steps.assign(tf.where(steps >= GROWTH_STEPS, tf.zeros_like(steps), steps))


def as_dataset(
    batch: Callable[[int], tuple], num_batches: int, start: int = 0, fixed_shapes: bool = True
) -> tf.data.Dataset:
    """A dataset of `batch(start), ..., batch(start + num_batches - 1)`, in this order.

    Of a cluster's worker: its share of the rows of each.

    Args:
        batch: a function of the batch's number that gives a structure of NumPy arrays, of the same
            structure, types and ranks each time. It is called from several threads.
        num_batches: how many.
        start: number of the first one; a resumed run starts where it stopped.
        fixed_shapes: whether all batches have the shapes of the first; else their sizes are unknown
            to the graph.
    """

    def share(arrays):
        """This worker's rows of each array, in a list."""
        arrays = map(np.asarray, tf.nest.flatten(arrays))
        return [array[cluster().share(len(array))] for array in arrays]

    example = batch(start)
    flat = share(example)

    def draw(number):
        arrays = tf.numpy_function(
            lambda n: share(batch(int(n))), [number], [array.dtype for array in flat]
        )
        for array, like in zip(arrays, flat, strict=True):
            array.set_shape(like.shape if fixed_shapes else [None] * like.ndim)
        return tf.nest.pack_sequence_as(example, arrays)

    numbers = tf.data.Dataset.range(start, start + num_batches)
    return numbers.map(draw, num_parallel_calls=2, deterministic=True).prefetch(4)


def divided(dataset: tf.data.Dataset, parts: int) -> tf.data.Dataset:
    """The dataset with so many equal parts of each batch in the place of the batch."""
    if parts == 1:
        return dataset
    return dataset.map(
        lambda *batch: tf.nest.map_structure(lambda x: tf.stack(tf.split(x, parts)), batch)
    ).unbatch()


def sum_over_workers(numbers: np.ndarray) -> np.ndarray:
    """The sum of an int32 array, (numbers,), over all workers of a cluster."""
    totals = devices().experimental_local_results(_sum_over_workers()(numbers.astype("int64")))
    return totals[0].numpy().astype("int32")


@functools.cache
def _sum_over_workers():
    # On a GPU 32 bits of a whole number would stay in the memory of the CPU.
    @tf.function(input_signature=[tf.TensorSpec([None], "int64")], autograph=False)
    def total(numbers):
        def contribution():
            replica = tf.distribute.get_replica_context()
            here = replica.num_replicas_in_sync // cluster().count
            is_first = replica.replica_id_in_sync_group % here == 0
            own = tf.where(is_first, numbers, tf.zeros_like(numbers))
            return replica.all_reduce(tf.distribute.ReduceOp.SUM, own)

        return devices().run(contribution)

    return total
