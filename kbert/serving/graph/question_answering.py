"""Question answering in a graph: windows, spans, the best answers cut from the context."""

from typing import NamedTuple

import tensorflow as tf

from kbert.layers import IMPOSSIBLE
from kbert.serving.graph.base import Graph, Tensors, float32, float64
from kbert.serving.graph.characters import Characters, Spans
from kbert.serving.graph.windows import Windows, cut_windows, in_parts
from kbert.text.segments import num_special_tokens


class _Found(NamedTuple):
    """The best spans of each text, float64 and int32 (batch, n_best), -inf where there are fewer;
    the logarithm of the sum over all spans, and the least score of no answer, (batch,)."""

    scores: tf.Tensor
    starts: tf.Tensor
    ends: tf.Tensor
    total: tf.Tensor
    null: tf.Tensor


class QuestionAnsweringGraph(Graph):
    """`text`, `start`, `end`, `score`, and where questions may have no answer `null_score`,
    (batch,); `nbest_text`, `nbest_start`, `nbest_end`, `nbest_score` (batch, n_best), `num_nbest`
    (batch,). Start and end count characters of `second`, the context; no answer is "" from -1 to
    -1."""

    def answer(self, text: tf.Tensor, second: tf.Tensor) -> Tensors:
        question = self.tokenizer.pieces_with_offsets(text)[0][:, : self.task.max_question_length]
        pieces, starts, ends = self.tokenizer.pieces_with_offsets(second)
        room = self.task.sequence_length - num_special_tokens(pair=True)
        windows = cut_windows(pieces, room - question.row_lengths(), self.task.stride)
        asked = tf.gather(question, windows.text)
        outputs = in_parts(self.forward, self.tokenizer.pack(asked, windows.of(pieces)))
        found = self._best_spans(outputs, asked.row_lengths() + 2, windows, pieces, starts, ends)
        return float32(self._answers(Characters(second), found))

    def _best_spans(self, outputs, offset, windows: Windows, pieces, starts, ends) -> _Found:
        """`offset` is where the context begins in the sequence of each window, (windows,)."""
        start, end = (float64(outputs, f"{name}_logits") for name in ("start", "end"))
        places = windows.places(pieces)
        owner = tf.gather(windows.maximal_context(pieces), places)
        tokens = tf.reduce_max(tf.concat([places.row_lengths(), [1]], axis=0))
        shape = tf.stack([tf.constant(-1, tf.int64), tokens])
        number = tf.range(tf.size(offset, tf.int64))[:, None]
        scored = owner.to_tensor(-1, shape=shape) == number  # (windows, tokens)
        there = tf.sequence_mask(places.row_lengths(), tokens)
        position = offset[:, None] + tf.range(tokens)
        position = tf.minimum(position, tf.shape(start, tf.int64)[1] - 1)
        spans = self._spans(
            tf.where(scored, tf.gather(start, position, batch_dims=1), _NEVER),
            tf.where(there, tf.gather(end, position, batch_dims=1), _NEVER),
        )
        count = tf.minimum(self.task.n_best, tf.shape(spans)[1])
        scores, chosen = tf.math.top_k(spans, count)  # (windows, count); of equal ones the first
        first = tf.cast(chosen // self.task.max_answer_length, tf.int64)
        last = first + tf.cast(chosen % self.task.max_answer_length, tf.int64)
        begin = (tf.gather(pieces.row_starts(), windows.text) + windows.begin)[:, None]
        by_text = _by_text(windows)
        # Every text has room for all: one without a token has no span.
        room = [[0, 0], [0, self.task.n_best]]
        scores = tf.pad(by_text(scores, _NEVER), room, constant_values=_NEVER)
        scores, best = tf.math.top_k(scores, self.task.n_best)  # (batch, n_best)
        columns = (
            tf.pad(by_text(_at(values, begin + token), 0), room)
            for values, token in ((starts, first), (ends, last))
        )
        starts, ends = (tf.gather(column, best, batch_dims=1) for column in columns)
        null = tf.fill([pieces.nrows()], tf.constant(_NEVER, tf.float64))
        if self.task.unanswerable:
            # Every window without the answer says "none"; the one that doubts it most counts.
            null = tf.math.segment_min(start[:, 0] + end[:, 0], windows.text)
        sums = by_text(tf.reduce_logsumexp(spans, axis=1, keepdims=True), _NEVER)
        total = tf.reduce_logsumexp(tf.concat([sums, null[:, None]], axis=1), axis=1)
        return _Found(scores, starts, ends, total, null)

    def _spans(self, start: tf.Tensor, end: tf.Tensor) -> tf.Tensor:
        """`score_spans` of windows (windows, tokens): (windows, tokens * max_answer_length)."""
        length = self.task.max_answer_length
        beyond = tf.pad(end, [[0, 0], [0, length - 1]], constant_values=_NEVER)
        spans = start[:, :, None] + tf.signal.frame(beyond, length, 1, axis=1)
        windows, tokens = tf.unstack(tf.shape(start))
        return tf.reshape(spans, [windows, tokens * length])

    def _answers(self, context: Characters, found: _Found) -> Tensors:
        there = found.scores > _NEVER
        text = tf.zeros_like(found.starts, tf.int64)
        text += tf.range(tf.size(found.total, tf.int64))[:, None]
        places = (tf.where(there, place, 0) for place in (found.starts, found.ends))
        spans = context.with_accents(Spans(text, *places))
        nbest = {
            "text": tf.where(there, context.substrings(spans), ""),
            "start": tf.where(there, spans.start, -1),
            "end": tf.where(there, spans.end, -1),
            "score": tf.where(there, tf.exp(found.scores - found.total[:, None]), 0.0),
        }
        answered, none, answers = there[:, 0], tf.zeros_like(found.total), {}
        if self.task.unanswerable:
            best = tf.where(answered, found.scores[:, 0], 2 * IMPOSSIBLE)
            answers["null_score"] = found.null - best
            answered &= answers["null_score"] <= self.task.null_threshold
            none = tf.exp(found.null - found.total)
        nothing = {"text": "", "start": -1, "end": -1, "score": none}
        for name, value in nothing.items():
            answers[name] = tf.where(answered, nbest[name][:, 0], value)
        answers |= {f"nbest_{name}": values for name, values in nbest.items()}
        return answers | {"num_nbest": tf.reduce_sum(tf.cast(there, tf.int32), axis=1)}


_NEVER = -float("inf")


def _by_text(windows: Windows):
    """A function from (windows, count) to (batch, most windows * count), padded."""
    count = tf.size(windows.first, tf.int64)

    def together(values: tf.Tensor, padding) -> tf.Tensor:
        ragged = tf.RaggedTensor.from_value_rowids(values, windows.text, count)
        dense = ragged.to_tensor(padding)  # (batch, windows, count)
        rows, most, each = tf.unstack(tf.shape(dense))
        return tf.reshape(dense, [rows, most * each])

    return together


def _at(values: tf.RaggedTensor, places: tf.Tensor) -> tf.Tensor:
    """Of (batch, (pieces)) those at places in its flat values; beyond them anything."""
    flat = tf.concat([values.flat_values, [0]], axis=0)
    return tf.gather(flat, tf.minimum(places, tf.size(flat, tf.int64) - 1))
