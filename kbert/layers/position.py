"""Where a token stands in its sequence, and how a model is told.

    learned      a table's row, added                    arXiv 1810.04805, figure 2
    sinusoidal   waves of many lengths, added            arXiv 1706.03762, section 3.5
    rotary       query and key are turned by an angle    arXiv 2104.09864, equation 34

What is added, is added to the embedding, or to the input of every block (`PositionEmbedding`).
"""

import keras
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


def sinusoids(positions: Tensor, hidden: int) -> Tensor:
    """sin(t / w), cos(t / w) of position t, for wave lengths w from 1 to nearly 10,000.

    Integers (batch, sequence) -> float32 (batch, sequence, hidden).
    """
    angles = _angles(positions, (hidden + 1) // 2, hidden)
    waves = ops.stack([ops.sin(angles), ops.cos(angles)], axis=-1)
    return ops.reshape(waves, (*ops.shape(positions), -1))[..., :hidden]


def rotated(x: Tensor, positions: Tensor) -> Tensor:
    """Each pair (x_i, x_{i + width/2}), turned as a point of the plane by the angle
    position x 10,000^(-2i / width).

    So the product of a query and a key depends on their distance, not on their places. The paper
    pairs neighbours, x_2i and x_2i+1, which is the same model with its columns in another order;
    halves are what memory gives faster.

    Args:
        x: (batch, sequence, ..., width), with an even width.
        positions: integers (batch, sequence), or (1, sequence) for all rows.
    """
    *axes, width = ops.shape(x)
    ones = (1,) * (len(axes) - 2)
    angles = _angles(positions, width // 2, width)
    angles = ops.reshape(angles, (*ops.shape(positions), *ones, width // 2))
    cosine, sine = (ops.cast(wave(angles), x.dtype) for wave in (ops.cos, ops.sin))
    first, second = ops.split(x, 2, axis=-1)
    turned = [first * cosine - second * sine, first * sine + second * cosine]
    return ops.concatenate(turned, axis=-1)


def _angles(positions, count, width):
    """position x 10,000^(-2i / width) for the first `count` i: float32 (batch, sequence, count)."""
    waves = ops.convert_to_tensor(frequencies(count, width), "float32")
    return ops.cast(positions, "float32")[..., None] * waves


def frequencies(count: int, width: int) -> list[float]:
    """10,000^(-2i / width) for the first `count` i."""
    return [_LONGEST ** (-2 * i / width) for i in range(count)]


@keras.saving.register_keras_serializable("kbert")
class PositionEmbedding(keras.layers.Layer):
    """x + the vector of each token's position.

    Args:
        kind: "learned" or "sinusoidal".
        max_sequence_length: rows of a learned table.
        initializer_stddev: of it.

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
        self.hidden_dim = input_shape[-1]
        if self.kind == "learned":
            self.table = self.add_weight(
                name="table",
                shape=(self.max_sequence_length, self.hidden_dim),
                initializer=initializer(self.initializer_stddev),
                autocast=False,
            )

    def call(self, x, padding_mask):
        return self.at(x, positions(padding_mask))

    def at(self, x, positions):
        """The same for tokens that stand at these positions, integers (batch, sequence)."""
        if self.kind == "learned":
            vectors = ops.take(self.table, positions, axis=0)
        else:
            vectors = sinusoids(positions, self.hidden_dim)
        return x + ops.cast(vectors, x.dtype)

    def get_config(self):
        names = ("kind", "max_sequence_length", "initializer_stddev")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
