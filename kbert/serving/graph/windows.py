"""kbert/tasks/windows/cutting.py for a batch, in a graph; the model's outputs for all windows."""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from kbert.inference.batches import MOST_TOKENS
from kbert.serving.graph.base import Tensors


class Windows(NamedTuple):
    """Windows over the pieces of texts, text after text: pieces [begin, end) of each.

    Attributes:
        text: the number of its text, int64 (windows,).
        begin, end: int64 (windows,).
        first: the number of each text's first window, int64 (batch,).
    """

    text: tf.Tensor
    begin: tf.Tensor
    end: tf.Tensor
    first: tf.Tensor

    def of(self, pieces: tf.RaggedTensor) -> tf.RaggedTensor:
        """What of (batch, (pieces)) the windows show, (windows, (pieces))."""
        return tf.gather(pieces.flat_values, self.places(pieces))

    def places(self, pieces: tf.RaggedTensor) -> tf.RaggedTensor:
        """The numbers of these pieces in `pieces.flat_values`, (windows, (pieces))."""
        start = tf.gather(pieces.row_starts(), self.text)
        return tf.ragged.range(start + self.begin, start + self.end)

    def maximal_context(self, pieces: tf.RaggedTensor) -> tf.Tensor:
        """`maximal_context`: for each of `pieces.flat_values` the number of its window."""
        places = self.places(pieces)
        piece, window = places.flat_values, places.value_rowids()
        start = tf.gather(pieces.row_starts(), tf.gather(self.text, window))
        begin, end = (tf.gather(side, window) for side in (self.begin, self.end))
        shorter = tf.minimum(piece - start - begin, end - 1 - (piece - start))
        context = tf.cast(shorter, tf.float64) + 0.01 * tf.cast(end - begin, tf.float64)
        count = tf.size(pieces.flat_values, tf.int64)
        most = tf.gather(tf.math.unsorted_segment_max(context, piece, count), piece)
        chosen = tf.where(context == most, window, tf.int64.max)
        return tf.math.unsorted_segment_min(chosen, piece, count)


def plan_windows(pieces: tf.RaggedTensor, size: int) -> Windows:
    """`plan_windows` of texts (batch, (pieces)): windows overlap by half, the last is full."""
    windows = _every(pieces, tf.fill([pieces.nrows()], tf.constant(size, tf.int64)), size // 2)
    length = tf.gather(pieces.row_lengths(), windows.text)
    begin = tf.minimum(windows.begin, tf.maximum(length - size, 0))
    return windows._replace(begin=begin, end=tf.minimum(begin + size, length))


def cut_windows(pieces: tf.RaggedTensor, sizes: tf.Tensor, stride: int) -> Windows:
    """`cut_windows` of texts (batch, (pieces)); `sizes` is int64 (batch,)."""
    return _every(pieces, sizes, stride)


def _every(pieces: tf.RaggedTensor, sizes: tf.Tensor, stride: int) -> Windows:
    """A window every `stride` pieces, until all are seen."""
    lengths = pieces.row_lengths()
    strides = tf.minimum(tf.constant(max(stride, 1), tf.int64), sizes)
    counts = 1 - tf.maximum(lengths - sizes, 0) // -strides  # rounded up
    numbers = tf.ragged.range(counts)
    text = numbers.value_rowids()
    begin = numbers.flat_values * tf.gather(strides, text)
    end = tf.minimum(begin + tf.gather(sizes, text), tf.gather(lengths, text))
    return Windows(text, begin, end, numbers.row_starts())


def in_parts(forward: Callable[[Tensors], Tensors], inputs: Tensors) -> Tensors:
    """The model's outputs for any number of rows, a few at a time.

    One text may have thousands of windows: computed at once they would fill the memory.
    """
    rows, width = tf.unstack(tf.shape(inputs["token_ids"]))
    size = tf.maximum(MOST_TOKENS // width, 1)
    count = tf.maximum(-(-rows // size), 1)
    specs = {name: tf.TensorSpec([None, None], tf.int32, name) for name in inputs}
    traced = tf.function(forward, autograph=False).get_concrete_function(specs)
    outputs = traced.structured_outputs
    arrays = {
        name: tf.TensorArray(output.dtype, count, element_shape=output.shape, infer_shape=False)
        for name, output in outputs.items()
    }

    def step(number, arrays):
        part = {name: x[number * size : (number + 1) * size] for name, x in inputs.items()}
        found = traced(part)
        return number + 1, {name: a.write(number, found[name]) for name, a in arrays.items()}

    _, arrays = tf.while_loop(lambda number, _: number < count, step, (0, arrays))
    return {name: array.concat() for name, array in arrays.items()}
