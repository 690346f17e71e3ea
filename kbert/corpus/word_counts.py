"""Counts the words of a text, in parallel, without TensorFlow."""

import collections
import functools
import itertools
import json
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from kbert.corpus.documents import TextReader
from kbert.corpus.saved_counts import SavedCounts
from kbert.corpus.settings import RunnerSettings
from kbert.corpus.workers.parts import Part, parts_of_groups
from kbert.corpus.workers.pool import Pool, usable_cores
from kbert.corpus.workers.results import Result, info_of
from kbert.corpus.workers.runner import work
from kbert.text.words import MAX_CHARACTERS_PER_WORD, WordTable

# Of the texts that are counted at once.
_CHUNK_CHARACTERS = 4 << 20
# With more distinct words than this (about 1 GB) the rarest are forgotten.
_MAX_DISTINCT_WORDS = 4_000_000


class WordCounts(NamedTuple):
    """Words of a text and how often each occurs, and the size of the text in UTF-8."""

    words: collections.Counter
    num_bytes: int


def parts_to_count(reader: TextReader) -> Iterator[Part]:
    """The documents that are counted together, wherever they are counted."""
    return parts_of_groups(reader, _CHUNK_CHARACTERS)


def count_words(
    chunks: Iterable[Sequence[str]],
    table: WordTable,
    num_workers: int | None = None,
    folder: pathlib.Path | None = None,
) -> WordCounts:
    """Count the words of a stream of texts, in parallel processes once the stream is long.

    Memory is bounded by the distinct words: beyond four million of them, after a chunk, the rarest
    are dropped. The result depends on the chunks only, not on the number of processes, nor on a
    stop.

    Args:
        chunks: texts that are counted together; words do not reach across them.
        table: how to normalise and split.
        num_workers: processes; None takes one for each core.
        folder: where counts are saved, and found again after a stop; None saves none.
    """
    total = SavedCounts(folder)
    # What has been counted is read again, which takes a small part of the time.
    texts = ((chunk,) for chunk in itertools.islice(chunks, total.num_chunks, None))
    first = list(itertools.islice(texts, 2))
    if len(first) < 2:
        num_workers = 1  # Starting processes would take longer than counting.
    num_workers = num_workers or usable_cores()
    with Pool(num_workers, functools.partial(_counter, table), num_workers > 1) as pool:
        for words, chunk_bytes in pool.map(itertools.chain(first, texts)):
            _add(total, words, chunk_bytes)
            total.save()
    total.save(last=True)
    return WordCounts(total.words, total.num_bytes)


def count_words_by(
    runner: RunnerSettings, reader: TextReader, table: WordTable, folder: pathlib.Path, job: Mapping
) -> WordCounts:
    """The same counts of all documents of a reader, made by a runner.

    Args:
        reader: it knows the files' problems then.
        folder, job: as of `runner.work`.
    """
    make = functools.partial(_result_maker, table)
    total = SavedCounts()
    for path in work(runner, reader, _CHUNK_CHARACTERS, make, folder, job):
        with np.load(path) as found:
            words = json.loads(found["words"].tobytes())
        info = info_of(path)
        reader.problems.merge(info["problems"])
        _add(total, words, info["num_bytes"])
    return WordCounts(total.words, total.num_bytes)


def _add(total: SavedCounts, words: Mapping[str, int], num_bytes: int) -> None:
    """The words of one more chunk."""
    total.words.update(words)
    total.num_bytes += num_bytes
    total.num_chunks += 1
    if len(total.words) > _MAX_DISTINCT_WORDS:
        total.words = _without_rare(total.words)


def _counter(table: WordTable) -> Callable[[Sequence[str]], WordCounts]:
    return functools.partial(_count_chunk, table=table)


def _result_maker(table: WordTable) -> Callable[[Sequence[str], dict], Result]:
    """What a runner's worker calls."""

    def result(texts, info):
        words, num_bytes = _count_chunk(texts, table)
        arrays = {"words": np.frombuffer(json.dumps(words).encode(), np.uint8)}
        return Result(arrays, info | {"num_bytes": num_bytes, "num_words": words.total()})

    return result


def _count_chunk(texts: Sequence[str], table: WordTable) -> WordCounts:
    """Count the words of some texts."""
    text = "\n".join(texts)
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


def _without_rare(words: collections.Counter) -> collections.Counter:
    """At most half of `_MAX_DISTINCT_WORDS`: the rarest go, all of one count together."""
    lowest = 1
    while len(words) > _MAX_DISTINCT_WORDS // 2:
        words = collections.Counter({w: count for w, count in words.items() if count > lowest})
        lowest += 1
    return words
