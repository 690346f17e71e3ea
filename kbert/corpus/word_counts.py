"""Counts the words of a text, in parallel, without TensorFlow."""

import collections
import functools
import itertools
import pathlib
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from kbert.corpus.pool import Pool, usable_cores
from kbert.corpus.saved_counts import SavedCounts
from kbert.text.words import MAX_CHARACTERS_PER_WORD, WordTable

_CHUNK_CHARACTERS = 4 << 20
# With more distinct words than this (about 1 GB) the rarest are forgotten.
_MAX_DISTINCT_WORDS = 4_000_000


class WordCounts(NamedTuple):
    """Words of a text and how often each occurs, and the size of the text in UTF-8."""

    words: collections.Counter
    num_bytes: int


def count_words(
    texts: Iterable[str],
    table: WordTable,
    num_workers: int | None = None,
    folder: pathlib.Path | None = None,
) -> WordCounts:
    """Count the words of a stream of texts, in parallel processes once the stream is long.

    Memory is bounded by the distinct words: beyond four million of them the rarest are dropped. The
    result depends on the texts only, not on the number of processes, nor on a stop.

    Args:
        texts: the texts; words do not reach across them.
        table: how to normalise and split.
        num_workers: processes; None takes one for each core.
        folder: where counts are saved, and found again after a stop; None saves none.
    """
    total = SavedCounts(folder)
    # What has been counted is read again, which takes a small part of the time.
    chunks = itertools.islice(_chunks(texts), total.num_chunks, None)
    first = list(itertools.islice(chunks, 2))
    if len(first) < 2:
        num_workers = 1  # Starting processes would take longer than counting.
    num_workers = num_workers or usable_cores()
    with Pool(num_workers, functools.partial(_counter, table), num_workers > 1) as pool:
        for words, chunk_bytes in pool.map(itertools.chain(first, chunks)):
            total.words.update(words)
            total.num_bytes += chunk_bytes
            total.num_chunks += 1
            if len(total.words) > _MAX_DISTINCT_WORDS:
                total.words = _without_rare(total.words)
            total.save()
    total.save(last=True)
    return WordCounts(total.words, total.num_bytes)


def _counter(table: WordTable) -> Callable[[str], WordCounts]:
    return functools.partial(_count_chunk, table=table)


def _count_chunk(text: str, table: WordTable) -> WordCounts:
    """Count the words of one text."""
    # Many raw words are the same, so each is normalised once; those with the same count together.
    by_count = collections.defaultdict(list)
    for raw, count in collections.Counter(text.split()).items():
        by_count[count].append(raw)
    words = collections.Counter()
    for count, raws in by_count.items():
        for word, times in collections.Counter(" ".join(raws).translate(table).split()).items():
            if len(word) <= MAX_CHARACTERS_PER_WORD:
                words[word] += times * count
    return WordCounts(words, len(text.encode("utf-8", "surrogatepass")))


def _chunks(texts: Iterable[str]) -> Iterator[tuple[str]]:
    """The same texts in strings of about four million characters, each alone in a tuple."""
    held, length = [], 0
    for text in texts:
        held.append(text)
        length += len(text)
        if length >= _CHUNK_CHARACTERS:
            yield ("\n".join(held),)
            held, length = [], 0
    if held:
        yield ("\n".join(held),)


def _without_rare(words: collections.Counter) -> collections.Counter:
    """At most half of `_MAX_DISTINCT_WORDS`: the rarest go, all of one count together."""
    lowest = 1
    while len(words) > _MAX_DISTINCT_WORDS // 2:
        words = collections.Counter({w: count for w, count in words.items() if count > lowest})
        lowest += 1
    return words
