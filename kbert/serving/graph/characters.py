"""The characters (Unicode code points) of texts in a graph: words, substrings, accents.

Which characters are spaces, words by themselves or accents is looked up in tables that Python makes
at export, so that the graph agrees with kbert/text/words.py whatever Unicode TensorFlow knows.
"""

import functools
import sys
import unicodedata
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from kbert.text.words import is_word

_INSIDE, _SPACE, _WORD = range(3)


class Spans(NamedTuple):
    """Characters [start, end) of texts: the texts' numbers, and int32 places, of one shape each."""

    text: tf.Tensor
    start: tf.Tensor
    end: tf.Tensor


class Characters:
    """Of strings (batch,). A byte that is not UTF-8 counts as in Python's "replace"."""

    def __init__(self, texts: tf.Tensor):
        self._texts = texts
        self._characters, first_bytes = tf.strings.unicode_decode_with_offsets(texts, "UTF-8")
        # One more place a text: its end.
        num_bytes = tf.cast(tf.strings.length(texts), first_bytes.dtype)
        self._bytes = tf.concat([first_bytes, num_bytes[:, tf.newaxis]], axis=1)

    def words(self, characters: bool) -> Spans:
        """`word_spans` of each text, (words,), text after text."""
        kind, text = (
            _looked_up(_kind, self._characters.flat_values),
            self._characters.value_rowids(),
        )
        if characters:
            kind = tf.where(kind == _SPACE, _SPACE, _WORD)
        alone, inside = kind == _WORD, kind == _INSIDE
        begins = (before(text, -1) != text) | (before(kind, _SPACE) != _INSIDE)
        stops = (_behind(text, -1) != text) | (_behind(kind, _SPACE) != _INSIDE)
        starts = tf.where(alone | (inside & begins))[:, 0]
        ends = tf.where(alone | (inside & stops))[:, 0]
        place = tf.cast(tf.ragged.range(self._characters.row_lengths()).flat_values, tf.int32)
        return Spans(tf.gather(text, starts), tf.gather(place, starts), tf.gather(place, ends) + 1)

    def substrings(self, spans: Spans) -> tf.Tensor:
        """The strings at these places."""
        begins = tf.gather(self._bytes.row_starts(), spans.text)
        first, last = (
            tf.gather(self._bytes.flat_values, begins + tf.cast(place, begins.dtype))
            for place in (spans.start, spans.end)
        )
        return tf.strings.substr(tf.gather(self._texts, spans.text), first, last - first)

    def with_accents(self, spans: Spans) -> Spans:
        """The spans with the accents behind them: `cut_answer`."""
        accents = _looked_up(_is_accent, self._characters.flat_values)
        # The end of a text stops them, too.
        stop = tf.zeros([self._characters.nrows(), 1], accents.dtype)
        accents = tf.concat([self._characters.with_flat_values(accents), stop], axis=1)
        stops = tf.where(accents.flat_values == 0)[:, 0]
        begins = tf.gather(accents.row_starts(), spans.text)
        places = begins + tf.cast(spans.end, begins.dtype)
        found = tf.gather(stops, tf.searchsorted(stops, tf.reshape(places, [-1])))
        return spans._replace(end=tf.cast(tf.reshape(found, tf.shape(places)) - begins, tf.int32))


def before(values: tf.Tensor, first) -> tf.Tensor:
    """What stands before each value, (values,); `first` before the first."""
    return tf.concat([[first], values], axis=0)[:-1]


def _behind(values: tf.Tensor, last) -> tf.Tensor:
    return tf.concat([values, [last]], axis=0)[1:]


def _kind(character: str) -> int:
    if character.isspace():
        return _SPACE
    return _WORD if is_word(character) else _INSIDE


def _is_accent(character: str) -> int:
    return int(unicodedata.combining(character) != 0)


def _looked_up(function: Callable[[str], int], code_points: tf.Tensor) -> tf.Tensor:
    """What a function gives for characters (characters,), int32."""
    begins, values = _runs(function)
    run = tf.searchsorted(tf.constant(begins), code_points, side="right") - 1
    return tf.gather(tf.constant(values), run)


@functools.cache
def _runs(function: Callable[[str], int]) -> tuple[np.ndarray, np.ndarray]:
    """Where runs of characters with one value begin, and these values: int32 (runs,) each."""
    size = sys.maxunicode + 1
    values = np.fromiter(map(function, map(chr, range(size))), "int32", size)
    begins = np.flatnonzero(np.diff(values, prepend=-1))
    return begins.astype("int32"), values[begins]
