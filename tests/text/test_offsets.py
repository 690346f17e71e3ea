"""Offsets: every piece points at the characters of the original text that it stands for."""

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from kbert.text.tokenizer import WordPieceTokenizer
from kbert.text.vocabulary import SPECIAL_TOKENS

CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,!?'σςßı각我"
PIECES = [*SPECIAL_TOKENS, *CHARACTERS, *("##" + character for character in CHARACTERS)]


@pytest.fixture(scope="module")
def tokenizer():
    return WordPieceTokenizer(PIECES)


def spans(tokenizer, text, **kwargs):
    pieces = tokenizer.tokenize_with_offsets([text], **kwargs)[0]
    return [
        (tokenizer.vocabulary[index].removeprefix("##"), text[start:end])
        for index, start, end in zip(*(array.tolist() for array in pieces), strict=True)
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("Ab, c", [("a", "A"), ("b", "b"), (",", ","), ("c", "c")]),
        ("Éa", [("e", "É"), ("a", "a")]),
        ("e\u0301a", [("e", "e"), ("a", "a")]),
        ("İa", [("i", "İ"), ("a", "a")]),
        ("Σς", [("σ", "Σ"), ("ς", "ς")]),
        ("각a", [("ᄀ", "각"), ("ᅡ", "각"), ("ᆨ", "각"), ("a", "a")]),
        ("ﬁ a", [("[UNK]", "ﬁ"), ("a", "a")]),
        ("a\u200bb", [("a", "a"), ("b", "b")]),
        ("\x00\ud800a", [("a", "a")]),
        ("我a我", [("我", "我"), ("a", "a"), ("我", "我")]),
        ("😀 a", [("[UNK]", "😀"), ("a", "a")]),
        ("a" * 101 + " é", [("[UNK]", "a" * 101), ("e", "é")]),
    ],
)
def test_offsets(tokenizer, text, expected):
    assert spans(tokenizer, text) == expected


def test_offsets_of_special_tokens(tokenizer):
    assert spans(tokenizer, "é[MASK]a", special_tokens=True) == [
        ("e", "é"),
        ("[MASK]", "[MASK]"),
        ("a", "a"),
    ]


def test_offsets_without_splitting_chinese():
    tokenizer = WordPieceTokenizer(PIECES, split_chinese=False)
    assert spans(tokenizer, "É我, a") == [("e", "É"), ("我", "我"), (",", ","), ("a", "a")]


TEXTS = st.lists(st.text(max_size=30) | st.text(CHARACTERS + " ÉİΣ각\u0301\u200b", max_size=30))


@settings(max_examples=50, deadline=None)
@given(texts=TEXTS)
def test_ids_are_those_of_tokenize_and_offsets_are_in_order(tokenizer, texts):
    rows = tokenizer.tokenize_with_offsets(texts)
    assert [row.ids.tolist() for row in rows] == tokenizer.tokenize(texts).to_list()
    for text, row in zip(texts, rows, strict=True):
        assert (row.starts < row.ends).all()
        assert (row.starts[1:] >= row.starts[:-1]).all()
        assert row.ends.max(initial=0) <= len(text)


def test_a_graph_gives_the_same_of_bytes_too(tokenizer):
    """A byte that is not UTF-8 counts as the characters that Python puts in its place."""
    texts = [b"\xffA\xed\xa0\x80b", "é 각a".encode(), b"", b"a\xf0\x9f\x98"]
    signature = [tf.TensorSpec([None], tf.string)]
    traced = tf.function(tokenizer.pieces_with_offsets, signature, autograph=False)
    found = [values.to_list() for values in traced(tf.constant(texts))]
    decoded = [text.decode("utf-8", "replace") for text in texts]
    for number, row in enumerate(tokenizer.tokenize_with_offsets(decoded)):
        assert [values[number] for values in found] == [values.tolist() for values in row]
    assert found[1:] == [
        [[1, 5], [0, 2, 2, 2, 3], [], [0]],
        [[2, 6], [1, 3, 3, 3, 4], [], [1]],
    ]
    assert [values.to_list() for values in traced(tf.zeros([0], tf.string))] == [[], [], []]
