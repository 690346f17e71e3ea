"""Batches drawn in NumPy, wrapped in a tf.data.Dataset that draws ahead of the training step."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf


def as_dataset(
    batch: Callable[[int], tuple], num_batches: int, start: int = 0, fixed_shapes: bool = True
) -> tf.data.Dataset:
    """A dataset of `batch(start), ..., batch(start + num_batches - 1)`, in this order.

    Args:
        batch: a function of the batch's number that gives a structure of NumPy arrays, of the same
            structure, types and ranks each time. It is called from several threads.
        num_batches: how many.
        start: number of the first one; a resumed run starts where it stopped.
        fixed_shapes: whether all batches have the shapes of the first; else their sizes are unknown
            to the graph.
    """
    example = batch(start)
    flat = tf.nest.flatten(example)

    def draw(number):
        arrays = tf.numpy_function(
            lambda n: [np.asarray(a) for a in tf.nest.flatten(batch(int(n)))],
            [number],
            [array.dtype for array in flat],
        )
        for array, like in zip(arrays, flat, strict=True):
            array.set_shape(like.shape if fixed_shapes else [None] * like.ndim)
        return tf.nest.pack_sequence_as(example, arrays)

    numbers = tf.data.Dataset.range(start, start + num_batches)
    return numbers.map(draw, num_parallel_calls=2, deterministic=True).prefetch(4)
