"""Multi-head self-attention (arXiv 1706.03762, section 3.2)."""

import functools
from typing import NamedTuple

import keras
from keras import ops

from kbert.layers import IMPOSSIBLE, Tensor, check_choice, position
from kbert.layers.attention_scores import SCORES
from kbert.layers.dense import TokenDense, initializer
from kbert.layers.dropout import Dropout
from kbert.layers.kernels import softmax

# Added to the scores of tokens that are not seen, where IMPOSSIBLE is none. float16 ends at 65,504.
_UNSEEN = {"float16": -3e4}


@keras.saving.register_keras_serializable("kbert")
class MultiHeadSelfAttention(keras.layers.Layer):
    """softmax(Q K^T / sqrt(head_dim)) V in each head, concatenated, projected; or with another
    score of a query and a key.

    Q, K and V come from one projection: its kernel is (hidden, 3 x hidden), in this order.

    Args:
        num_heads: divides the width of the input.
        dropout: share of attention probabilities set to 0 in training.
        score: a key of `SCORES`.
        rotary: turn queries and keys by their positions, which needs an even head_dim.
        direction: "both", or "left": a token sees itself and what is left of it.
        initializer_stddev: of the kernels.

    Call arguments:
        x: (batch, sequence, hidden).
        padding_mask: integers (batch, sequence) or None. Two tokens see each other if they carry
            the same non-zero number; 0 is padding.
        return_attention_scores: also return the softmax, float32 (batch, heads, query, key).
        positions: integers (batch, n), or None for all: whose queries are answered.

    Returns (batch, sequence, hidden), or with positions (batch, n, hidden).
    """

    def __init__(
        self,
        num_heads,
        dropout=0.1,
        score="scaled_dot",
        direction="both",
        rotary=False,
        initializer_stddev=0.02,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if num_heads < 1:
            raise ValueError(f"`num_heads` must be at least 1. Received: {num_heads}.")
        check_choice("score", score, SCORES)
        check_choice("direction", direction, ("both", "left"))
        self.num_heads = num_heads
        self.dropout = dropout
        self.score = score
        self.direction = direction
        self.rotary = rotary
        self.initializer_stddev = initializer_stddev
        self.scores = SCORES[score](initializer_stddev, dtype=self.dtype_policy, name="scores")
        self.probability_dropout = Dropout(dropout, dtype=self.dtype_policy)

    def build(self, input_shape):
        hidden = input_shape[-1]
        if hidden % self.num_heads:
            raise ValueError(
                "The width of the input must be a multiple of `num_heads`. "
                f"Received: width {hidden}, num_heads={self.num_heads}."
            )
        if self.rotary and hidden // self.num_heads % 2:
            raise ValueError(
                "Rotary positions need heads of an even width. "
                f"Received: width {hidden}, num_heads={self.num_heads}."
            )
        self.query_key_value = self._dense(3 * hidden, "query_key_value")
        self.output_projection = self._dense(hidden, "output_projection")
        self.query_key_value.build(input_shape)
        self.output_projection.build(input_shape)
        self.scores.build((None, self.num_heads, None, hidden // self.num_heads))

    def _dense(self, units, name):
        return TokenDense(
            units,
            kernel_initializer=initializer(self.initializer_stddev),
            dtype=self.dtype_policy,
            name=name,
        )

    def call(
        self,
        x,
        padding_mask=None,
        training=None,
        return_attention_scores=False,
        positions=None,
    ):
        batch, sequence, hidden = ops.shape(x)
        if padding_mask is None and (self.rotary or self.direction != "both"):
            padding_mask = ops.ones((batch, sequence), "int32")
        places = position.positions(padding_mask) if self.rotary else None
        projected = self._projected(x, places)
        mask = None if padding_mask is None else visible(padding_mask, self.direction, positions)
        probabilities = None
        if not return_attention_scores and self._can_be_fused(sequence, training):
            # (batch, sequence, heads, head_dim), as all here
            query, key, value = ops.unstack(projected, 3, axis=2)
            if positions is not None:
                query = ops.take_along_axis(query, positions[:, :, None, None], axis=1)
            context = ops.dot_product_attention(query, key, value, mask=mask)
        else:
            query, key, value = _by_head(projected)
            if positions is not None:
                query = ops.take_along_axis(query, positions[:, None, :, None], axis=2)
            context, probabilities = self._attend(query, key, value, mask, training)
            context = ops.transpose(context, (0, 2, 1, 3))
        attended = self.output_projection(ops.reshape(context, (batch, -1, hidden)))
        if not return_attention_scores:
            return attended
        return attended, ops.cast(probabilities, "float32")

    def after(self, x, memory):
        """Attention of the tokens that follow those in a `Memory`, to these and themselves.

        x: (batch, n, hidden). Returns (batch, n, hidden), and the memory of all.
        """
        batch, n, hidden = ops.shape(x)
        query, key, value = _by_head(self._projected(x, memory.places(n)))
        memory = memory.extended(key, value)
        context, _ = self._attend(query, memory.keys, memory.values, memory.seen(n), False)
        context = ops.reshape(ops.transpose(context, (0, 2, 1, 3)), (batch, n, hidden))
        return self.output_projection(context), memory

    def empty_memory(self, batch, length):
        """The `Memory` of rows of `length` tokens, of which none was read."""
        hidden = self.output_projection.kernel.shape[0]
        shape = (batch, self.num_heads, length, hidden // self.num_heads)
        empty = ops.zeros(shape, self.compute_dtype)
        return Memory(empty, empty, ops.zeros((), "int32"))

    def _projected(self, x, places):
        """Query, key and value: (batch, sequence, 3, heads, head_dim), turned if rotary."""
        batch, sequence, hidden = ops.shape(x)
        projected = ops.reshape(
            self.query_key_value(x), (batch, sequence, 3, self.num_heads, hidden // self.num_heads)
        )
        if not self.rotary:
            return projected
        turned = position.rotated(projected[:, :, :2], places)  # queries and keys
        return ops.concatenate([turned, projected[:, :, 2:]], axis=2)

    def _attend(self, query, key, value, mask, training):
        """softmax(Q K^T / sqrt(head_dim)) V, of (batch, heads, sequence, head_dim), and the softmax
        (batch, heads, query, key)."""
        scores = self.scores(query, key)
        if mask is not None:
            # A sum and no choice: oneDNN takes scale and summand into the product.
            unseen = _UNSEEN.get(keras.backend.standardize_dtype(scores.dtype), IMPOSSIBLE)
            scores = scores + ops.cast(ops.where(mask, 0.0, unseen), scores.dtype)
        # In float32: sums over a long row round in 16 bits.
        probabilities = softmax(ops.cast(scores, "float32"), value.dtype)
        # Dropping attention probabilities drops whole tokens to attend to: odd, but BERT was
        # trained so (attention_probs_dropout_prob).
        dropped = self.probability_dropout(probabilities, training=training)
        return ops.matmul(dropped, value), probabilities

    def _can_be_fused(self, sequence, training):
        """The kernel has one score, drops no probabilities, and has no gradient of odd lengths."""
        return (
            _has_fused_kernel()
            and self.score == "scaled_dot"
            and (not training or (self.dropout == 0 and (sequence or 0) % 2 == 0))
        )

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "dropout": self.dropout,
            "score": self.score,
            "direction": self.direction,
            "rotary": self.rotary,
            "initializer_stddev": self.initializer_stddev,
        }


class Memory(NamedTuple):
    """What an attention keeps of the tokens that it has read, for those that follow.

    Attributes:
        keys, values: (batch, heads, length, head_dim), of which the first `count` are there.
        count: int32, how many tokens were read.
    """

    keys: Tensor
    values: Tensor
    count: Tensor

    def places(self, n):
        """Where the next n tokens stand in each row: int32 (1, n)."""
        return self.count + ops.arange(n, dtype="int32")[None]

    def seen(self, n):
        """What the last n tokens see, itself and what is left of each: booleans (n, length)."""
        places = ops.arange(ops.shape(self.keys)[2], dtype="int32")
        return places[None, :] < (self.count - n + 1 + ops.arange(n, dtype="int32"))[:, None]

    def extended(self, keys, values):
        """With the next n tokens' keys and values, (batch, heads, n, head_dim)."""
        start = [0, 0, self.count, 0]
        return Memory(
            ops.slice_update(self.keys, start, keys),
            ops.slice_update(self.values, start, values),
            self.count + ops.shape(keys)[2],
        )


def _by_head(projected):
    """(batch, sequence, 3, heads, head_dim) -> 3 x (batch, heads, sequence, head_dim)."""
    return ops.unstack(ops.transpose(projected, (2, 0, 3, 1, 4)), 3, axis=0)


@functools.cache
def _has_fused_kernel() -> bool:
    """Whether one kernel computes softmax(Q K^T) V and keeps no (query, key) in memory.

    JAX has one on GPUs, cuDNN's flash attention, which `ops.dot_product_attention` takes in 16 bits
    on Ampere and later.
    """
    if keras.backend.backend() != "jax":
        return False
    return any(name.startswith("gpu") for name in keras.distribution.list_devices())


def visible(
    padding_mask: Tensor, direction: str = "both", positions: Tensor | None = None
) -> Tensor:
    """Which token sees which: (batch, sequence) integers -> booleans (batch, 1, query, key).

    Args:
        direction: "left": only itself and what is left of it.
        positions: integers (batch, n), of the tokens that look; None for all.
    """
    looking = padding_mask
    if positions is not None:
        looking = ops.take_along_axis(padding_mask, positions, axis=1)
    query, key = looking[:, None, :, None], padding_mask[:, None, None, :]
    seen = ops.logical_and(ops.equal(query, key), ops.not_equal(key, 0))
    if direction == "left":
        places = ops.arange(ops.shape(padding_mask)[1], dtype="int32")
        own = places[None] if positions is None else positions
        seen = ops.logical_and(seen, places <= own[:, None, :, None])
    return seen
