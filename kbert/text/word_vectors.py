"""Vectors of words from a text file, as GloVe and word2vec write them: `word x_1 x_2 ...` a line.

The first line of word2vec's form says how many words there are, and how wide they are.
"""

import os
import re
from collections.abc import Collection

import numpy as np

from kbert.errors import DataError

_HEADER = re.compile(rb"\d+ \d+\s*")


def read_word_vectors(
    path: str | os.PathLike, words: Collection[str], width: int
) -> dict[str, np.ndarray]:
    """The vectors of those of the words that the file has, float32 (width,) each.

    Of a word that stands there twice the first counts. Raises `DataError`, with the line, for
    vectors of another width, for what is no number, NaN or infinity, and for text that is not
    UTF-8.
    """
    wanted, found = set(words), {}
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            if number == 1 and _HEADER.fullmatch(line):
                continue
            # From the right: some of GloVe's words have spaces in them.
            word, *values = line.rstrip(b" \r\n").rsplit(b" ", width)
            where = f"{path}, line {number}"
            if len(values) != width or not word:
                raise DataError(f"{where}: expected a word and {width} numbers.")
            try:
                word = word.decode("utf-8")
            except UnicodeDecodeError:
                raise DataError(f"{where}: a word must be UTF-8 text.") from None
            if word in wanted and word not in found:
                found[word] = _vector(values, where)
    return found


def _vector(values, where):
    try:
        vector = np.array(values, "S").astype("float32")
    except ValueError:
        raise DataError(f"{where}: expected numbers behind the word.") from None
    if not np.isfinite(vector).all():
        raise DataError(f"{where}: expected finite numbers.")
    return vector
