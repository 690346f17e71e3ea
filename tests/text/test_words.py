"""Splitting and counting words in Python agrees with the tokenizer in TensorFlow."""

import collections
import sys
import unicodedata

import pytest

from kbert.corpus.word_counts import count_chunk, count_words
from kbert.text.tokenizer import WordPieceTokenizer
from kbert.text.vocabulary import SPECIAL_TOKENS
from kbert.text.words import WordTable


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


def test_count_chunk_leaves_out_words_that_are_always_unknown():
    counted = count_chunk("The the, é " + "a" * 101, WordTable())
    assert counted.words == {"the": 2, ",": 1, "e": 1}
    assert counted.num_bytes == 113


def test_processes_count_as_one_process_does(monkeypatch):
    texts = [f"word{i % 7} 我 other text. " * 50 for i in range(40)]
    monkeypatch.setattr("kbert.corpus.word_counts._CHUNK_CHARACTERS", 10_000)
    alone = count_words(texts, WordTable(), num_workers=1)
    assert count_words(texts, WordTable(), num_workers=2) == alone
    expected = collections.Counter()
    for text in texts:
        expected.update(words_of(text))
    assert alone.words == expected


def test_memory_is_bounded_by_forgetting_rare_words(monkeypatch):
    monkeypatch.setattr("kbert.corpus.word_counts._CHUNK_CHARACTERS", 100)
    monkeypatch.setattr("kbert.corpus.word_counts._MAX_DISTINCT_WORDS", 50)
    texts = ["often " * 20 + f"rare{i}" for i in range(500)]
    counted = count_words(texts, WordTable(), num_workers=1).words
    assert counted["often"] == 10_000
    assert len(counted) <= 51


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
