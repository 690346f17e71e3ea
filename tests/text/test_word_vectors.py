"""Vectors of words in GloVe's and word2vec's text forms, and lines that are neither."""

import numpy as np
import pytest

from kbert.errors import DataError
from kbert.text.word_vectors import read_word_vectors


def written(folder, content):
    path = folder / "vectors.txt"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("header", [b"", b"3 2\n"])
def test_the_words_that_are_wanted(tmp_path, header):
    """A word may hold spaces; the first of two counts; others are not kept."""
    path = written(tmp_path, header + "the 1 -2.5\n. . 3 4\n蜜 5 6e-1 \nthe 7 8\r\n".encode())
    found = read_word_vectors(path, ["the", "蜜", ". .", "bird"], 2)
    assert {word: vector.tolist() for word, vector in found.items()} == {
        "the": [1.0, -2.5],
        ". .": [3.0, 4.0],
        "蜜": [5.0, pytest.approx(0.6)],
    }
    assert all(vector.dtype == np.float32 for vector in found.values())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"the 1 2\nbird 1\n", "line 2: expected a word and 2 numbers"),
        (b"1 2\n1 2\n", "line 2: expected a word and 2 numbers"),
        (b"the 1 x\n", "line 1: expected numbers"),
        (b"the 1 nan\n", "line 1: expected finite numbers"),
        (b"the 1 2\n\xff 1 2\n", "line 2: a word must be UTF-8"),
    ],
)
def test_other_lines_are_refused(tmp_path, content, said):
    with pytest.raises(DataError, match=f"vectors.txt, {said}"):
        read_word_vectors(written(tmp_path, content), ["the"], 2)
