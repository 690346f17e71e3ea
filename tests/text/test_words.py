"""Words in a text: by hand, and as the tokenizer in TensorFlow has them."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbert.text.tokenizer import WordPieceTokenizer
from kbert.text.vocabulary import SPECIAL_TOKENS
from kbert.text.words import WordTable, word_spans

text = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cf", "Co"]), max_size=30)


def words_of(text, **options):
    return text.translate(WordTable(**options)).split()


@pytest.mark.parametrize(
    ("options", "text", "expected"),
    [
        ({}, "Élan, vital!", "elan , vital !"),
        ({"lowercase": False}, "Élan, vital!", "Élan , vital !"),
        ({"strip_accents": False}, "ÉLAN", "élan"),
        ({}, "a$b 我爱。c\u200bd", "a $ b 我 爱 。 cd"),
        ({"split_chinese": False}, "我爱。c", "我爱 。 c"),
    ],
)
def test_words(options, text, expected):
    assert words_of(text, **options) == expected.split()


def old_characters():
    """Characters that every library knows: those of Unicode 3.2, without halves of pairs."""
    assigned = (c for c in map(chr, range(sys.maxunicode)) if not "\ud800" <= c <= "\udfff")
    return [c for c in assigned if unicodedata.ucd_3_2_0.category(c) not in ("Cn", "Co")]


@pytest.mark.parametrize("lowercase", [True, False])
def test_every_character_is_treated_as_the_tokenizer_does(lowercase):
    characters = old_characters()
    table = WordTable(lowercase)
    single = sorted({c for character in characters for c in character.translate(table)} - {" "})
    pieces = [*SPECIAL_TOKENS, *single, *("##" + c for c in single)]
    id_of = {piece: index for index, piece in enumerate(pieces)}
    tokenizer = WordPieceTokenizer(pieces, lowercase)
    rows = tokenizer.tokenize([f"{single[0]}{c}{single[0]}" for c in characters]).to_list()
    different = []
    for character, row in zip(characters, rows, strict=True):
        words = f"{single[0]}{character}{single[0]}".translate(table).split()
        expected = [id_of[c if i == 0 else "##" + c] for word in words for i, c in enumerate(word)]
        if row != expected:
            different.append(character)
    # Unicode moved these between classes, and Python and TensorFlow have different versions of it.
    assert set(different) <= set("\u166d\u1734\u180e")


def test_spans_by_hand():
    sentence = "U.S.-born Ann, 北京 2008!"
    words = [sentence[start:end] for start, end in word_spans(sentence)]
    assert words == ["U", ".", "S", ".", "-", "born", "Ann", ",", "北", "京", "2008", "!"]
    letters = [sentence[start:end] for start, end in word_spans(sentence, characters=True)]
    assert letters == list(sentence.replace(" ", ""))


@given(text.filter(lambda text: "\ufffd" not in text))
def test_spans_are_berts_words(text):
    table = WordTable(lowercase=False, strip_accents=False)
    assert [text[start:end] for start, end in word_spans(text)] == text.translate(table).split()
