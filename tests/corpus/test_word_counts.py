"""Counting words, in one process and in several."""

import collections

from kbert.corpus.word_counts import count_words
from kbert.text.words import WordTable


def test_words_that_are_always_unknown_are_left_out():
    counted = count_words(["The the, é " + "a" * 101], WordTable(), num_workers=1)
    assert counted.words == {"the": 2, ",": 1, "e": 1}
    assert counted.num_bytes == 113


def test_processes_count_as_one_process_does(monkeypatch):
    texts = [f"word{i % 7} 我 other text. " * 50 for i in range(40)]
    monkeypatch.setattr("kbert.corpus.word_counts._CHUNK_CHARACTERS", 10_000)
    alone = count_words(texts, WordTable(), num_workers=1)
    assert count_words(texts, WordTable(), num_workers=2) == alone
    expected = collections.Counter()
    for text in texts:
        expected.update(text.translate(WordTable()).split())
    assert alone.words == expected


def test_memory_is_bounded_by_forgetting_rare_words(monkeypatch):
    monkeypatch.setattr("kbert.corpus.word_counts._CHUNK_CHARACTERS", 100)
    monkeypatch.setattr("kbert.corpus.word_counts._MAX_DISTINCT_WORDS", 50)
    texts = ["often " * 20 + f"rare{i}" for i in range(500)]
    counted = count_words(texts, WordTable(), num_workers=1).words
    assert counted["often"] == 10_000
    assert len(counted) <= 51
