"""Offsets: every piece points at the characters of the original text that it stands for."""

import pytest
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


@settings(max_examples=100, deadline=None)
@given(texts=TEXTS)
def test_ids_are_those_of_tokenize_and_offsets_are_in_order(tokenizer, texts):
    rows = tokenizer.tokenize_with_offsets(texts)
    assert [row.ids.tolist() for row in rows] == tokenizer.tokenize(texts).to_list()
    for text, row in zip(texts, rows, strict=True):
        assert (row.starts < row.ends).all()
        assert (row.starts[1:] >= row.starts[:-1]).all()
        assert row.ends.max(initial=0) <= len(text)
