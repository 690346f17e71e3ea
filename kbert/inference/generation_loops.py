"""The loops that fill rows with text from left to right, each in one compiled function.

Attention keeps the keys and values of what it has read (`kbert.layers.attention.Memory`), so that a
piece takes the same time at every place; an encoder of another kind reads the whole row again for
each.
"""

import abc

import keras
import numpy as np
from keras import ops

from kbert.layers import IMPOSSIBLE, Tensor
from kbert.models import empty_memories, is_transformer, read_on


class _Loop(keras.layers.Layer, abc.ABC):
    """Fills rows from left to right with what a left-to-right LM says.

    Args:
        model: a pre-training model with the output `next_token`.
        forbidden: ids that are never chosen; the first is [PAD].
        stop_ids: a row ends behind one of these, if it was chosen.

    Call arguments, a dict:
        prefix: the columns that all rows are given, (batch, shared), read in one pass.
        token_ids: the rows, (batch, width); what is to be chosen is [PAD].
        lengths: how many tokens of each row are given, (batch, 1).
        ends: where each row ends at most, (batch, 1).
        draws: a number in [0, 1) for each token that is drawn, float32 (batch, width).

    Returns the rows, int32 (batch, width); [PAD] behind their ends.
    """

    def __init__(self, model, forbidden, stop_ids, **kwargs):
        super().__init__(**{"dtype": "float32", "autocast": False, **kwargs})
        self.model = model
        self.pad_id = forbidden[0]
        self.size = model.get_layer("embedding").vocabulary_size
        vocabulary = np.arange(self.size)
        self.penalty = np.where(np.isin(vocabulary, forbidden), IMPOSSIBLE, 0.0).astype("float32")
        self.is_stop = np.isin(vocabulary, stop_ids)
        self.has_memory = is_transformer(model)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs["token_ids"].shape, "int32")

    def _begin(self, inputs):
        """Scores behind the prefix, float32 (batch, vocabulary), and the memories of it."""
        rows, prefix = inputs["token_ids"], inputs["prefix"]
        memories = empty_memories(self.model, *ops.shape(rows)) if self.has_memory else ()
        return self._read(rows, prefix, ops.shape(prefix)[1], memories)

    def _read(self, rows, new, count, memories):
        """Scores behind the first `count` columns, of which the `new` ones were not read yet."""
        if self.has_memory:
            return read_on(self.model, new, memories)
        zeros = ops.zeros_like(rows)
        inputs = {"token_ids": rows, "segment_ids": zeros, "padding_mask": zeros + 1}
        scores = self.model(inputs, training=False)["next_token"]
        return ops.take(scores, count - 1, axis=1), memories

    def _fill(self, rows, at, new):
        """The rows with a column of new tokens."""
        return ops.slice_update(rows, [0, at], new[:, None])

    def _ended(self, ended, at, new, lengths, ends):
        """Which rows end behind the token at `at`, or have ended before."""
        stops = ops.logical_and(ops.take(self.is_stop, new), at >= lengths)
        return ops.logical_or(ended, ops.logical_or(stops, at + 1 >= ends))


class SamplingLoop(_Loop):
    """Draws each token from what the model says behind those before it, or takes the likeliest.

    Args:
        temperature, top_k, top_p: see `choose`.
        others, and call: as of `_Loop`.
    """

    def __init__(self, model, temperature, top_k, top_p, **kwargs):
        super().__init__(model, **kwargs)
        self.temperature, self.top_k, self.top_p = temperature, top_k, top_p

    def call(self, inputs):
        rows, lengths, ends = inputs["token_ids"], inputs["lengths"][:, 0], inputs["ends"][:, 0]
        scores, memories = self._begin(inputs)

        def step(at, rows, ended, scores, memories):
            draws = ops.take(inputs["draws"], at, axis=1)
            chosen = choose(scores + self.penalty, draws, self.temperature, self.top_k, self.top_p)
            new = ops.where(ended, self.pad_id, chosen)
            new = ops.where(at < lengths, ops.take(rows, at, axis=1), new)
            ended = self._ended(ended, at, new, lengths, ends)
            rows = self._fill(rows, at, new)
            scores, memories = self._read(rows, new[:, None], at + 1, memories)
            return at + 1, rows, ended, scores, memories

        at = ops.convert_to_tensor(ops.shape(inputs["prefix"])[1], "int32")
        state = (at, rows, ops.zeros_like(lengths, "bool"), scores, memories)
        return ops.while_loop(_goes_on, step, state)[1]


class BeamLoop(_Loop):
    """Keeps the likeliest texts of each row, goes on with all of them, and returns the likeliest.

    A text is as likely as the product of its tokens' probabilities, whatever its length.

    Args:
        beams: how many texts are kept.
        others, and call: as of `_Loop`, without `draws`.
    """

    def __init__(self, model, beams, **kwargs):
        super().__init__(model, **kwargs)
        self.beams = beams

    def call(self, inputs):
        batch, width = ops.shape(inputs["token_ids"])
        # The beams of a row stand one below the other.
        own = ops.repeat(ops.arange(batch), self.beams)
        rows, lengths, ends = (
            ops.take(inputs[name], own, axis=0) for name in ("token_ids", "lengths", "ends")
        )
        lengths, ends = lengths[:, 0], ends[:, 0]
        scores, memories = self._begin(inputs)
        scores, memories = ops.take(scores, own, axis=0), _of_rows(memories, own)
        # All beams begin alike: but for the first, none is one yet.
        first = np.where(np.arange(self.beams) == 0, 0.0, IMPOSSIBLE).astype("float32")
        likelihoods = ops.broadcast_to(first, (batch, self.beams))
        nothing_more = np.full(self.size, IMPOSSIBLE, "float32")
        nothing_more[self.pad_id] = 0.0

        def step(at, rows, ended, likelihoods, scores, memories):
            change = ops.log_softmax(scores + self.penalty)
            change = ops.where(ended[:, None], nothing_more, change)
            totals = ops.reshape(likelihoods, (-1, 1)) + change
            best, places = ops.top_k(ops.reshape(totals, (batch, -1)), self.beams)
            is_given = at < lengths
            parents = self.beams * ops.arange(batch)[:, None] + places // self.size
            parents = ops.where(is_given, ops.arange(batch * self.beams), ops.reshape(parents, -1))
            likelihoods = ops.where(ops.reshape(is_given, (batch, self.beams)), likelihoods, best)
            rows, ended = ops.take(rows, parents, axis=0), ops.take(ended, parents, axis=0)
            new = ops.cast(ops.reshape(places % self.size, -1), "int32")
            new = ops.where(is_given, ops.take(rows, at, axis=1), new)
            ended = self._ended(ended, at, new, lengths, ends)
            rows = self._fill(rows, at, new)
            scores, memories = self._read(rows, new[:, None], at + 1, _of_rows(memories, parents))
            return at + 1, rows, ended, likelihoods, scores, memories

        at = ops.convert_to_tensor(ops.shape(inputs["prefix"])[1], "int32")
        state = (at, rows, ops.zeros_like(lengths, "bool"), likelihoods, scores, memories)
        rows = ops.while_loop(_goes_on, step, state)[1]
        # The likeliest of `top_k` stands first.
        return ops.reshape(rows, (batch, self.beams, width))[:, 0]


def _goes_on(at, rows, ended, *others):
    return ops.logical_not(ops.all(ended))


def _of_rows(memories, rows):
    """The memories of these rows, in this order."""
    return [
        memory._replace(
            keys=ops.take(memory.keys, rows, axis=0), values=ops.take(memory.values, rows, axis=0)
        )
        for memory in memories
    ]


def choose(
    scores: Tensor, draws: Tensor, temperature: float, top_k: int, top_p: float | None
) -> Tensor:
    """A class of each row by its scores: int32 (batch,).

    Args:
        scores: float32 (batch, classes).
        draws: in [0, 1), (batch,); what is chosen is the first of the classes, the likeliest first,
            at which the sum of probabilities is larger.
        temperature: divides the scores; 0 for the likeliest class.
        top_k: how many of the likeliest classes may be chosen.
        top_p: of these, the fewest whose probabilities add up to it (arXiv 1904.09751); None: all.
    """
    if temperature == 0:
        return ops.cast(ops.argmax(scores, axis=-1), "int32")
    scores, classes = ops.top_k(scores / temperature, top_k)
    sums = ops.cumsum(ops.softmax(scores), axis=-1)
    if top_p is not None:
        before = ops.pad(sums[:, :-1], ((0, 0), (1, 0)))
        sums = ops.where(before < top_p, sums, 0.0)
    total = ops.max(sums, axis=-1, keepdims=True)
    # A class that is left out counts as 0: all of them stand behind the last one that is not.
    reached = ops.logical_and(sums > 0, sums <= draws[:, None] * total)
    place = ops.sum(ops.cast(reached, "int32"), axis=-1, keepdims=True)
    return ops.cast(ops.take_along_axis(classes, place, axis=-1)[:, 0], "int32")
