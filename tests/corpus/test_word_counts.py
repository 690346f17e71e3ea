"""Counting words, in one process and in several."""

import collections

from kbert.corpus import word_counts
from kbert.corpus.word_counts import count_words
from kbert.text.words import WordTable


def test_words_that_are_always_unknown_are_left_out():
    counted = count_words([["The the, é " + "a" * 101]], WordTable(), num_workers=1)
    assert counted.words == {"the": 2, ",": 1, "e": 1}
    assert counted.num_bytes == 113


def test_processes_count_as_one_process_does():
    texts = [f"word{i % 7} 我 other text. " * 50 for i in range(40)]
    chunks = [texts[i : i + 10] for i in range(0, 40, 10)]
    alone = count_words(chunks, WordTable(), num_workers=1)
    assert count_words(chunks, WordTable(), num_workers=2) == alone
    expected = collections.Counter()
    for text in texts:
        expected.update(text.translate(WordTable()).split())
    assert alone.words == expected


def test_stopped_anywhere_it_goes_on_to_the_same_counts(monkeypatch, tmp_path):
    """Of what had been saved nothing is counted twice, and forgotten words stay forgotten."""
    monkeypatch.setattr("kbert.corpus.saved_counts._SECONDS_BETWEEN_SAVES", 0)
    monkeypatch.setattr("kbert.corpus.word_counts._MAX_DISTINCT_WORDS", 20)
    texts = [["often \ud800 " * 20 + f"rare{i}"] for i in range(40)]
    whole, counted = count_words(texts, WordTable(), num_workers=1), []

    def stopping(texts, table, count=word_counts._count_chunk):
        if len(counted) % 7 == 6:
            counted.append(None)
            raise KeyboardInterrupt
        counted.append(texts[0])
        return count(texts, table)

    monkeypatch.setattr("kbert.corpus.word_counts._count_chunk", stopping)
    while True:
        try:
            found = count_words(texts, WordTable(), num_workers=1, folder=tmp_path)
            break
        except KeyboardInterrupt:
            pass
    assert found == whole and list(found.words) == list(whole.words)
    assert counted.count(None) > 3
    again = [text for text in counted if text is not None]
    assert len(again) <= len(set(again)) + 3 * counted.count(None)  # What waited in the pool.


def test_memory_is_bounded_by_forgetting_rare_words(monkeypatch):
    monkeypatch.setattr("kbert.corpus.word_counts._MAX_DISTINCT_WORDS", 50)
    texts = [["often " * 20 + f"rare{i}"] for i in range(500)]
    counted = count_words(texts, WordTable(), num_workers=1).words
    assert counted["often"] == 10_000
    assert len(counted) <= 51
