"""Tagging in a graph: words, windows, the best tags, entities."""

import numpy as np
import tensorflow as tf

from kbert.serving.graph.base import Graph, Tensors, float32, float64
from kbert.serving.graph.characters import Characters, Spans, before
from kbert.serving.graph.tag_paths import best_paths
from kbert.serving.graph.windows import in_parts, plan_windows
from kbert.tasks.tag_schemes import OUTSIDE, split_tag, valid_transitions


class TaggingGraph(Graph):
    """`tokens`, `tags` (batch, words), `num_tokens` (batch,); and but for plain tags `entity_text`,
    `entity_type`, `entity_start`, `entity_end`, `entity_score` (batch, entities), `num_entities`
    (batch,). Start and end count characters of the text. A text is a document of its own."""

    def answer(self, text: tf.Tensor) -> Tensors:
        characters = Characters(text)
        words = characters.words(self.task.characters)
        tokens = characters.substrings(words)
        count = tf.size(text, tf.int64)
        tags, scores = self._best_tags(tokens, words, count)
        names = tf.gather(tf.constant(self.task.tags), tags)
        answers = {
            "tokens": _padded(tokens, words.text, count, ""),
            "tags": _padded(names, words.text, count, ""),
            "num_tokens": _counts(words.text, count),
        }
        if self.task.plain:
            return answers
        return float32(answers | self._entities(characters, words, tags, scores, count))

    def _best_tags(self, tokens, words: Spans, count) -> tuple[tf.Tensor, tf.Tensor]:
        """The tag of each word and its probability, (words,) each."""
        pieces = self._pieces(tokens)  # (words, (pieces))
        first = pieces.row_starts()
        pieces = tf.RaggedTensor.from_value_rowids(pieces, words.text, count).merge_dims(1, 2)
        windows = plan_windows(pieces, self.task.sequence_length - 2)
        outputs = in_parts(self.forward, self.tokenizer.pack(windows.of(pieces)))
        window = tf.gather(windows.maximal_context(pieces), first)
        start = tf.gather(pieces.row_starts(), words.text) + tf.gather(windows.begin, window)
        places = tf.stack([window, first - start + 1], axis=-1)  # behind [CLS]
        emissions = tf.gather_nd(float64(outputs, "logits"), places)  # (words, tags)
        if not (self.task.crf or self.task.valid_tags):
            best = tf.argmax(emissions, axis=-1, output_type=tf.int32)
            return best, tf.reduce_max(tf.nn.softmax(emissions), axis=-1)
        transitions = tf.zeros([1, len(self.task.tags) + 2, len(self.task.tags)], tf.float64)
        if self.task.crf:
            transitions += tf.gather(float64(outputs, "transitions"), windows.first)
        if self.task.valid_tags:
            transitions += valid_transitions(self.task.tags)
        emissions = tf.RaggedTensor.from_value_rowids(emissions, words.text, count)
        return best_paths(emissions, transitions)

    def _pieces(self, tokens: tf.Tensor) -> tf.RaggedTensor:
        """As `word_pieces`: [UNK] for a word of which normalisation leaves nothing."""
        ids = self.tokenizer.tokenize(tokens)
        nothing = tf.cast(ids.row_lengths() == 0, ids.row_splits.dtype)
        unknown = tf.fill([tf.reduce_sum(nothing)], self.tokenizer.unk_id)
        return tf.concat([ids, tf.RaggedTensor.from_row_lengths(unknown, nothing)], axis=1)

    def _entities(self, characters: Characters, words: Spans, tags, scores, count) -> Tensors:
        """As `entities` of BIO tags: they begin at B, and at I behind another type."""
        parts = [None if tag == OUTSIDE else split_tag(tag) for tag in self.task.tags]
        labels = self.task.labels
        types = np.array([-1 if part is None else labels.index(part[1]) for part in parts])
        begins = np.array([part is not None and part[0] == "B" for part in parts])
        kind = tf.gather(tf.constant(types, tf.int32), tags)
        goes_on = (before(words.text, -1) == words.text) & (before(kind, -1) == kind)
        inside = kind >= 0
        starts = inside & (tf.gather(tf.constant(begins), tags) | ~goes_on)
        number = tf.boolean_mask(tf.cumsum(tf.cast(starts, tf.int32)) - 1, inside)
        first = tf.where(starts)[:, 0]
        spans = Spans(
            tf.gather(words.text, first),
            tf.gather(words.start, first),
            tf.math.segment_max(tf.boolean_mask(words.end, inside), number),
        )
        columns = {
            "entity_text": (characters.substrings(spans), ""),
            "entity_type": (tf.gather(tf.constant(labels), tf.gather(kind, first)), ""),
            "entity_start": (spans.start, -1),
            "entity_end": (spans.end, -1),
            "entity_score": (tf.math.segment_min(tf.boolean_mask(scores, inside), number), 0),
        }
        padded = {
            name: _padded(values, spans.text, count, padding)
            for name, (values, padding) in columns.items()
        }
        return padded | {"num_entities": _counts(spans.text, count)}


def _padded(values: tf.Tensor, text: tf.Tensor, count: tf.Tensor, padding) -> tf.Tensor:
    """Values text after text -> (batch, most of a text)."""
    return tf.RaggedTensor.from_value_rowids(values, text, count).to_tensor(padding)


def _counts(text: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """How many values each text has, int32 (batch,)."""
    return tf.math.bincount(tf.cast(text, tf.int32), minlength=tf.cast(count, tf.int32))
