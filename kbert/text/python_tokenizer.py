"""BERT's tokenizer in Python, for machines without TensorFlow: ids equal to `tokenizer.py`'s.

Several times slower than TensorFlow's on text that is new to it. It remembers words.
"""

import functools
import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from kbert.text.joining import join_pieces
from kbert.text.offsets import Pieces
from kbert.text.piece_ids import PLACEHOLDERS, PieceIds, check_arguments, check_texts
from kbert.text.segments import num_special_tokens, pack_segments, pad_rows
from kbert.text.vocabulary import SPECIAL_TOKENS
from kbert.text.words import MAX_CHARACTERS_PER_WORD, WordTable

_WORDS_REMEMBERED = 2**16


class Ragged(NamedTuple):
    """Ids of several texts: `flat_values[row_splits[i] : row_splits[i + 1]]` of text i."""

    flat_values: np.ndarray
    row_splits: np.ndarray

    def row_lengths(self) -> np.ndarray:
        """How many ids each text has."""
        return np.diff(self.row_splits)

    def to_list(self) -> list[list[int]]:
        """The ids of each text."""
        return [part.tolist() for part in np.split(self.flat_values, self.row_splits[1:-1])][
            : len(self.row_splits) - 1
        ]


class PythonTokenizer(PieceIds):
    """Text to piece ids, exactly as BERT: WordPieceTokenizer without TensorFlow.

    Args, methods: as WordPieceTokenizer's, which answer in NumPy.
    """

    def __init__(
        self,
        vocabulary,
        lowercase=True,
        strip_accents=None,
        split_chinese=True,
        added_tokens=(),
    ):
        super().__init__(vocabulary, lowercase, strip_accents, split_chinese, added_tokens)
        self._id_of = {piece: index for index, piece in enumerate(self._pieces)}
        self._longest = max(map(len, self._pieces))
        self._table = WordTable(lowercase, strip_accents, split_chinese)
        placeholders = (*PLACEHOLDERS.values(), *self.added_marks.values())
        self._table.update({ord(character): "" for character in placeholders})
        self._match = functools.lru_cache(_WORDS_REMEMBERED)(self._match_word)

    def __call__(
        self,
        texts: str | Sequence[str],
        seconds: str | Sequence[str] | None = None,
        sequence_length: int | None = None,
        padding: str = "longest",
        special_tokens: bool = False,
    ) -> dict[str, np.ndarray]:
        """`token_ids`, `segment_ids`, `padding_mask`, int32 (batch, sequence)."""
        pair = seconds is not None
        check_arguments(pair, sequence_length, padding)
        texts, seconds = ([text] if isinstance(text, str) else text for text in (texts, seconds))
        first = self.tokenize(texts, special_tokens).to_list()
        second = self.tokenize(seconds, special_tokens).to_list() if pair else [None] * len(first)
        rows = [
            pack_segments(
                one,
                other,
                sequence_length or len(one) + len(other or ()) + num_special_tokens(pair),
                self.cls_id,
                self.sep_id,
            )
            for one, other in zip(first, second, strict=True)
        ]
        width = sequence_length
        if padding == "longest":
            width = max([num_special_tokens(pair), *(len(ids) for ids, _ in rows)])
        return {
            "token_ids": pad_rows([ids for ids, _ in rows], width, self.pad_id),
            "segment_ids": pad_rows([segments for _, segments in rows], width),
            "padding_mask": pad_rows([np.ones(len(ids), np.int32) for ids, _ in rows], width),
        }

    def tokenize(self, texts: Sequence[str], special_tokens: bool = False) -> Ragged:
        """Piece ids of each text, without [CLS] and [SEP]."""
        check_texts(texts)
        rows = [self._ids(text, special_tokens) for text in texts]
        ids = np.array([index for row in rows for index in row], np.int32)
        return Ragged(ids, np.cumsum([0, *map(len, rows)]))

    def tokenize_with_offsets(
        self, texts: Sequence[str], special_tokens: bool = False
    ) -> list[Pieces]:
        """For each text its `Pieces`; offsets count characters of the original text."""
        check_texts(texts)
        found = []
        for text in texts:
            pieces = list(self._pieces_of(text, special_tokens))
            columns = zip(*pieces, strict=True) if pieces else ((), (), ())
            found.append(Pieces(*(np.array(column, np.int32) for column in columns)))
        return found

    def detokenize(self, ids) -> list[str]:
        """Texts that read like the originals; rows of ids without [PAD], [CLS] and [SEP]."""
        hidden = (self.pad_id, self.cls_id, self.sep_id)
        rows = ids.to_list() if isinstance(ids, Ragged) else ids
        return [
            join_pieces(self._pieces[int(i)] for i in row if int(i) not in hidden) for row in rows
        ]

    def _parts(self, text: str, special_tokens: bool) -> list[str]:
        """Text, token, text ... by the tokens that are found before words are split."""
        tokens = (*self.added_marks, *(SPECIAL_TOKENS if special_tokens else ()))
        # With a group around all of it, so that `split` keeps what it finds.
        return re.split(f"({'|'.join(map(re.escape, tokens))})", text) if tokens else [text]

    def _ids(self, text, special_tokens):
        ids = []
        for index, part in enumerate(self._parts(text, special_tokens)):
            if index % 2:
                ids.append(self._id_of[part])
                continue
            if self.strips_accents and not part.isascii():
                # The table takes characters apart too, but does not put their parts in order.
                part = unicodedata.normalize("NFD", part)
            for word in part.translate(self._table).split():
                ids.extend(index for index, _ in self._match(word))
        return ids

    def _pieces_of(self, text, special_tokens) -> Iterator[tuple[int, int, int]]:
        """(id, start, end) of each piece, in characters of the text."""
        start = 0
        for index, part in enumerate(self._parts(text, special_tokens)):
            if index % 2:
                yield self._id_of[part], start, start + len(part)
            else:
                yield from self._pieces_of_words(part, start)
            start += len(part)

    def _pieces_of_words(self, text, offset):
        word, origins = "", []
        for place, character in enumerate(f"{text} ", start=offset):
            for normalized in self._table[ord(character)]:
                if normalized != " ":
                    word += normalized
                    origins.append(place)
                elif word:
                    begin = 0
                    for index, length in self._match(word):
                        yield index, origins[begin], origins[begin + length - 1] + 1
                        begin += length
                    word, origins = "", []

    def _match_word(self, word: str) -> tuple[tuple[int, int], ...]:
        """(id, number of characters) of each piece of a word, the longest first."""
        pieces, start = [], 0
        while start < len(word) <= MAX_CHARACTERS_PER_WORD:
            prefix = "##" if start else ""
            end = min(len(word), start + self._longest)
            while end > start and prefix + word[start:end] not in self._id_of:
                end -= 1
            if end == start:
                return ((self.unk_id, len(word)),)
            pieces.append((self._id_of[prefix + word[start:end]], end - start))
            start = end
        return tuple(pieces) or ((self.unk_id, len(word)),)
