"""Splits text into BERT's words and counts them, without TensorFlow.

The rules are Google's BasicTokenizer, as `tokenizer.WordPieceTokenizer` has them in TensorFlow; a
test holds the two together. Here they are one table from characters to strings, with spaces around
whatever is a word by itself, so that Python's own loops in C do the work.
"""

import collections
import itertools
import multiprocessing
import os
import unicodedata
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import NamedTuple

# Longer words are [UNK] whatever the vocabulary.
MAX_CHARACTERS_PER_WORD = 100

# Chinese characters: the blocks of Google's `_is_chinese_char`.
CHINESE_RANGES = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)

_CHUNK_CHARACTERS = 4 << 20
# With more distinct words than this (about 1 GB) the rarest are forgotten.
_MAX_DISTINCT_WORDS = 4_000_000


class WordTable(dict):
    """A table for `str.translate`: code point -> normalised character, " " around single words.

    Args: as WordPieceTokenizer's.
    """

    def __init__(
        self, lowercase: bool = True, strip_accents: bool | None = None, split_chinese: bool = True
    ):
        super().__init__()
        self.lowercase = lowercase
        self.strip_accents = lowercase if strip_accents is None else strip_accents
        self.split_chinese = split_chinese

    def __missing__(self, code_point: int) -> str:
        character = chr(code_point)
        if self.strip_accents:
            character = unicodedata.normalize("NFD", character)
        result = "".join(map(self._normalize, character))
        self[code_point] = result
        return result

    def _normalize(self, character: str) -> str:
        category = unicodedata.category(character)
        if character in "\t\n\r" or category[0] == "Z":
            return " "
        if category in ("Cc", "Cf", "Co", "Cs") or character == "\ufffd":
            return ""
        if category == "Mn" and self.strip_accents:
            return ""
        if is_punctuation(character) or (self.split_chinese and is_chinese(character)):
            return f" {character} "
        return character.lower() if self.lowercase else character


def is_punctuation(character: str) -> bool:
    """Unicode's punctuation, and all ASCII that is no letter, digit or space ("$", "+", "`")."""
    if character.isascii():
        return character.isprintable() and not character.isalnum() and character != " "
    return unicodedata.category(character)[0] == "P"


def is_chinese(character: str) -> bool:
    return any(first <= ord(character) <= last for first, last in CHINESE_RANGES)


def word_spans(text: str, characters: bool = False) -> list[tuple[int, int]]:
    """Where BERT's words stand in a text as it is: word i is `text[start:end]` of pair i.

    Args:
        characters: make every character but white space a word.
    """
    spans, start = [], None
    for place, character in enumerate(f"{text} "):
        space = character.isspace()
        alone = characters or is_punctuation(character) or is_chinese(character)
        if start is not None and (space or alone):
            spans.append((start, place))
            start = None
        if alone and not space:
            spans.append((place, place + 1))
        elif not space and start is None:
            start = place
    return spans


class WordCounts(NamedTuple):
    """Words of a text and how often each occurs, and the size of the text in UTF-8."""

    words: collections.Counter
    num_bytes: int


def count_words(
    texts: Iterable[str], table: WordTable, num_workers: int | None = None
) -> WordCounts:
    """Count the words of a stream of texts, in parallel processes once the stream is long.

    Memory is bounded by the distinct words: beyond four million of them the rarest are dropped. The
    result depends on the texts only, not on the number of processes.

    Args:
        texts: the texts; words do not reach across them.
        table: how to normalise and split.
        num_workers: processes; None takes one for each processor.
    """
    total, num_bytes = collections.Counter(), 0
    for words, chunk_bytes in _map_chunks(_chunks(texts), table, num_workers or os.cpu_count()):
        total.update(words)
        num_bytes += chunk_bytes
        if len(total) > _MAX_DISTINCT_WORDS:
            total = _without_rare(total)
    return WordCounts(total, num_bytes)


def count_chunk(text: str, table: WordTable) -> WordCounts:
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


def _chunks(texts: Iterable[str]) -> Iterator[str]:
    """The same texts in strings of about four million characters."""
    held, length = [], 0
    for text in texts:
        held.append(text)
        length += len(text)
        if length >= _CHUNK_CHARACTERS:
            yield "\n".join(held)
            held, length = [], 0
    if held:
        yield "\n".join(held)


def _map_chunks(chunks: Iterator[str], table: WordTable, num_workers: int) -> Iterator[WordCounts]:
    """`count_chunk` of each chunk, in order."""
    first = list(itertools.islice(chunks, 2))
    if num_workers == 1 or len(first) < 2:
        # Starting processes would take longer than counting.
        yield from (count_chunk(chunk, table) for chunk in itertools.chain(first, chunks))
        return
    # Not forked: TensorFlow's threads may hold locks in a process that has loaded it.
    context = multiprocessing.get_context("spawn")
    pending: collections.deque[Future] = collections.deque()
    with ProcessPoolExecutor(num_workers, context) as pool:
        for chunk in itertools.chain(first, chunks):
            pending.append(pool.submit(count_chunk, chunk, table))
            if len(pending) > 2 * num_workers:  # So that reading never runs far ahead.
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _without_rare(words: collections.Counter) -> collections.Counter:
    """At most half of `_MAX_DISTINCT_WORDS`: the rarest go, all of one count together."""
    lowest = 1
    while len(words) > _MAX_DISTINCT_WORDS // 2:
        words = collections.Counter({w: count for w, count in words.items() if count > lowest})
        lowest += 1
    return words
