"""What a store says of each token besides its id: where words begin, and where entities are.

Both are found once, when text is tokenized, so that any rule of masking may ask for them.
"""

import hashlib
import logging
import os
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from kbert.errors import DataError
from kbert.text.vocabulary import read_lines

if TYPE_CHECKING:
    from kbert.text.tokenizer import WordPieceTokenizer

# Where words begin: with every piece without "##", or as jieba segments Chinese.
WORDS_OF_PIECES, WORDS_OF_JIEBA = WORD_RULES = ("pieces", "jieba")
ENTITY_BEGINS, ENTITY_GOES_ON = 1, 2


def check_jieba() -> None:
    """Raises `DataError` where the package jieba is not installed."""
    try:
        _jieba()
    except ImportError as error:
        raise DataError(
            "Words of jieba need the package jieba, which is not installed: "
            "pip install 'kbert[chinese]'."
        ) from error


def read_entities(path: str | os.PathLike) -> list[str]:
    """The entities in a file, one a line. Raises `DataError` for a file without any."""
    entities = sorted({line.strip() for line in read_lines(path, "a list of entities")} - {""})
    if not entities:
        raise DataError(f"{path} must have an entity in each line. It has none.")
    return entities


class WordMarks:
    """Where words begin as jieba segments a text; Chinese characters are pieces of their own.

    Only where a word of BERT begins may one of jieba begin: numbers and other scripts stay whole.
    """

    name = "words"

    def __init__(self, tokenizer: "WordPieceTokenizer"):
        self.tokenizer = tokenizer
        self._begins = begins_word(tokenizer.vocabulary)
        self._cut = _jieba().cut

    def __call__(self, sentences: Sequence[str], ids: np.ndarray, lengths: np.ndarray):
        """1 where a word begins, else 0: uint8 (tokens,).

        Args:
            sentences: the texts.
            ids: of all their tokens, (tokens,).
            lengths: how many each sentence has, (sentences,).
        """
        marks = self._begins[ids].astype(np.uint8)
        end = 0
        for sentence, pieces, length in zip(
            sentences, self.tokenizer.tokenize_with_offsets(sentences), lengths, strict=True
        ):
            start, end = end, end + int(length)
            # Offsets are found character by character, which rarely gives other pieces.
            if np.array_equal(pieces.ids, ids[start:end]):
                marks[start + 1 : end] &= self._is_elsewhere(sentence, pieces.starts)
        return marks

    def _is_elsewhere(self, sentence, starts):
        """Of every piece but the first, whether it stands in another word than the one before."""
        ends = np.cumsum([len(word) for word in self._cut(sentence)])
        word = np.searchsorted(ends, starts, side="right")
        return word[1:] != word[:-1]


class EntityMarks:
    """Where the entities of a list stand, the longest where several begin.

    They are found by their pieces, so in the spelling that the tokenizer leaves, and from where a
    word begins to where one ends. An entity with [UNK] in it is never found.
    """

    name = "entities"

    def __init__(self, tokenizer: "WordPieceTokenizer", entities: Sequence[str]):
        self._begins = begins_word(tokenizer.vocabulary)
        self._by_first: dict[int, list[tuple[int, ...]]] = {}
        for ids in set(map(tuple, tokenizer.tokenize(list(entities)).to_list())):
            if ids and tokenizer.unk_id not in ids:
                self._by_first.setdefault(ids[0], []).append(ids)
        for found in self._by_first.values():
            found.sort(key=len, reverse=True)
        self._is_first = np.zeros(tokenizer.vocabulary_size, bool)
        self._is_first[list(self._by_first)] = True

    def __call__(self, sentences: Sequence[str], ids: np.ndarray, lengths: np.ndarray):
        """1 where an entity begins, 2 where it goes on, else 0: uint8 (tokens,)."""
        marks, done = np.zeros(len(ids), np.uint8), 0
        places = np.flatnonzero(self._is_first[ids] & self._begins[ids])
        ends = np.cumsum(lengths)
        limits = ends[np.searchsorted(ends, places, side="right")]
        for place, limit in zip(places.tolist(), limits.tolist(), strict=True):
            length = self._length_at(ids, place, limit) if place >= done else 0
            if length:
                done = place + length
                marks[place:done] = ENTITY_GOES_ON
                marks[place] = ENTITY_BEGINS
        return marks

    def _length_at(self, ids, place, limit) -> int:
        """Tokens of the longest entity that begins at a place; 0 for none."""
        for entity in self._by_first[int(ids[place])]:
            end = place + len(entity)
            if end > limit or tuple(ids[place:end].tolist()) != entity:
                continue
            if end == limit or self._begins[ids[end]]:
                return len(entity)
        return 0


class SpanMarks:
    """Where the entities are that a function finds in sentences.

    Args:
        find: from sentences to the entities of each, (start, end) in characters.
    """

    name = "entities"

    def __init__(self, tokenizer: "WordPieceTokenizer", find: Callable[[Sequence[str]], list]):
        self.tokenizer = tokenizer
        self._find = find

    def __call__(self, sentences: Sequence[str], ids: np.ndarray, lengths: np.ndarray):
        """1 where an entity begins, 2 where it goes on, else 0: uint8 (tokens,)."""
        marks, end = np.zeros(len(ids), np.uint8), 0
        found = zip(
            self._find(sentences),
            self.tokenizer.tokenize_with_offsets(sentences),
            lengths,
            strict=True,
        )
        for entities, pieces, length in found:
            start, end = end, end + int(length)
            # Offsets are found character by character, which rarely gives other pieces.
            if not np.array_equal(pieces.ids, ids[start:end]):
                continue
            for first, last in entities:
                inside = np.flatnonzero((pieces.starts >= first) & (pieces.starts < last))
                marks[start + inside] = ENTITY_GOES_ON
                marks[start + inside[:1]] = ENTITY_BEGINS
        return marks


class EntitySource(Protocol):
    """Where entities come from; it goes to other processes.

    Attributes:
        path: of the file or folder that says it.
        digest: of all that decides what is marked.
    """

    path: str
    digest: str

    def marker(self, tokenizer: "WordPieceTokenizer") -> Callable[..., np.ndarray]:
        """What marks the entities of sentences: `EntityMarks` or the like."""


class ListedEntities:
    """The entities in a file, one a line. Raises `DataError` for a file without any."""

    def __init__(self, path: str | os.PathLike):
        self.path = str(path)
        self._names = read_entities(path)
        self.digest = hashlib.sha256("\n".join(self._names).encode()).hexdigest()

    def marker(self, tokenizer: "WordPieceTokenizer") -> EntityMarks:
        """Finds them by their pieces."""
        return EntityMarks(tokenizer, self._names)


def begins_word(vocabulary: Sequence[str]) -> np.ndarray:
    """Which pieces begin a word, (vocabulary,): those without "##"."""
    return np.array([not piece.startswith("##") for piece in vocabulary])


def _jieba():
    with warnings.catch_warnings():
        # Of setuptools, about how jieba finds its dictionary.
        warnings.simplefilter("ignore")
        import jieba
    # It would say on standard error that it reads its dictionary.
    jieba.setLogLevel(logging.WARNING)
    return jieba
