"""Where a token stands in its sequence, and how a model is told.

    learned      a table's row, added                    arXiv 1810.04805, figure 2
    sinusoidal   waves of many lengths, added            arXiv 1706.03762, section 3.5
    rotary       query and key are turned by an angle    arXiv 2104.09864, equation 34

What is added, is added to the embedding, or to the input of every block (`PositionEmbedding`).
"""

import keras
import numpy as np
from keras import ops

from kbert.layers import Tensor
from kbert.layers.dense import initializer

_LONGEST = 10_000  # Wave lengths go up to 2 pi times this.


def positions(padding_mask: Tensor) -> Tensor:
    """How many earlier tokens of the row carry the same number: integers (batch, sequence)."""
    same = ops.equal(padding_mask[:, :, None], padding_mask[:, None, :])
    index = ops.arange(ops.shape(padding_mask)[1])
    earlier = index[None, :] < index[:, None]
    return ops.sum(ops.cast(ops.logical_and(same, earlier), "int32"), axis=-1)


def sinusoids(length: int, hidden: int) -> np.ndarray:
    """Row t is sin(t / w), cos(t / w) for wave lengths w from 1 up; float32 (length, hidden)."""
    column = np.arange(hidden)
    angles = np.arange(length)[:, None] / _LONGEST ** (2 * (column // 2) / hidden)
    return np.where(column % 2 == 0, np.sin(angles), np.cos(angles)).astype("float32")


def rotated(x: Tensor, positions: Tensor) -> Tensor:
    """Each pair (x_2i, x_2i+1), turned as a point of the plane by position x 10,000^(-2i / width).

    So the product of a query and a key depends on their distance, not on their places.

    Args:
        x: (batch, sequence, ..., width), with an even width.
        positions: integers (batch, sequence).
    """
    *axes, width = ops.shape(x)
    frequencies = _LONGEST ** (-2 * np.arange(width // 2) / width)
    angles = ops.cast(positions, "float32")[..., None] * frequencies.astype("float32")
    inner = (1,) * (len(axes) - 2)
    angles = ops.reshape(angles, (*axes[:2], *inner, width // 2))
    cosine, sine = (ops.cast(wave(angles), x.dtype) for wave in (ops.cos, ops.sin))
    first, second = ops.unstack(ops.reshape(x, (*axes, width // 2, 2)), 2, axis=-1)
    turned = [first * cosine - second * sine, first * sine + second * cosine]
    return ops.reshape(ops.stack(turned, axis=-1), (*axes, width))


@keras.saving.register_keras_serializable("kbert")
class PositionEmbedding(keras.layers.Layer):
    """x + the vector of each token's position.

    Args:
        kind: "learned" or "sinusoidal".
        max_sequence_length: rows of the table.
        initializer_stddev: of a learned one.

    Call arguments:
        x: (batch, sequence, hidden).
        padding_mask: integers (batch, sequence); positions count from 0 inside each number.

    Returns (batch, sequence, hidden).
    """

    def __init__(self, kind, max_sequence_length=512, initializer_stddev=0.02, **kwargs):
        super().__init__(**kwargs)
        self.kind = kind
        self.max_sequence_length = max_sequence_length
        self.initializer_stddev = initializer_stddev

    def build(self, input_shape):
        shape = (self.max_sequence_length, input_shape[-1])
        if self.kind == "sinusoidal":
            self.table = sinusoids(*shape)
            return
        self.table = self.add_weight(
            name="table",
            shape=shape,
            initializer=initializer(self.initializer_stddev),
            autocast=False,
        )

    def call(self, x, padding_mask):
        vectors = ops.take(self.table, positions(padding_mask), axis=0)
        return x + ops.cast(vectors, x.dtype)

    def get_config(self):
        names = ("kind", "max_sequence_length", "initializer_stddev")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
