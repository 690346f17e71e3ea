"""What the tokenizers in TensorFlow and in Python share: the vocabulary, its ids, the options."""

import os
from collections.abc import Sequence

from kbert.errors import DataError
from kbert.text.segments import check_sequence_length
from kbert.text.tokenizer_options import TokenizerOptions
from kbert.text.vocabulary import (
    SPECIAL_TOKENS,
    check_vocabulary,
    load_vocabulary,
    special_token_ids,
)
from kbert.text.words import strips_accents

# Noncharacters that a tokenizer may put in the place of special tokens; a text loses them.
PLACEHOLDERS = dict(zip(SPECIAL_TOKENS, "\ufdd0\ufdd1\ufdd2\ufdd3\ufdd4", strict=True))
# And of added tokens: all others of the block.
ADDED_PLACEHOLDERS = tuple(map(chr, range(0xFDD5, 0xFDF0)))


class PieceIds:
    """The pieces, their ids and the options of a tokenizer.

    Args: as WordPieceTokenizer's.

    Attributes:
        pad_id, unk_id, cls_id, sep_id, mask_id: ids of [PAD], [UNK], [CLS], [SEP], [MASK].
        special_ids: these five, in this order.
    """

    def __init__(
        self,
        vocabulary: str | os.PathLike | Sequence[str],
        lowercase: bool = True,
        strip_accents: bool | None = None,
        split_chinese: bool = True,
        added_tokens: Sequence[str] = (),
    ):
        if isinstance(vocabulary, str | os.PathLike):
            pieces = load_vocabulary(vocabulary)
        else:
            pieces = list(vocabulary)
            check_vocabulary(pieces)
        self.lowercase = lowercase
        self.strip_accents = strip_accents
        self.split_chinese = split_chinese
        # A tuple: tf.Module would wrap a list, and track each of its 30,000 strings.
        self._pieces = tuple(pieces)
        self.added_tokens = tuple(added_tokens)
        _check_added(self.added_tokens, pieces)
        self.special_ids = tuple(special_token_ids(pieces).values())
        self.pad_id, self.unk_id, self.cls_id, self.sep_id, self.mask_id = self.special_ids

    @property
    def added_marks(self) -> dict[str, str]:
        """Added token -> what stands for it until words are split, the longest first."""
        longest_first = sorted(self.added_tokens, key=len, reverse=True)
        return dict(zip(longest_first, ADDED_PLACEHOLDERS, strict=False))

    @property
    def vocabulary(self) -> list[str]:
        """The pieces; the index of a piece is its id."""
        return list(self._pieces)

    @property
    def vocabulary_size(self) -> int:
        """How many pieces there are."""
        return len(self._pieces)

    @property
    def options(self) -> dict:
        """What restores this tokenizer: `WordPieceTokenizer(vocabulary, **options)`."""
        return TokenizerOptions(
            self.lowercase, self.strip_accents, self.split_chinese, self.added_tokens
        ).arguments()

    @property
    def strips_accents(self) -> bool:
        """Whether accents are dropped."""
        return strips_accents(self.lowercase, self.strip_accents)


def _check_added(tokens: Sequence[str], pieces: Sequence[str]) -> None:
    """Raise DataError for added tokens that are no pieces, or too many."""
    unknown = sorted(set(tokens) - set(pieces))
    if unknown or len(tokens) > len(ADDED_PLACEHOLDERS):
        raise DataError(
            f"added_tokens must be {len(ADDED_PLACEHOLDERS)} pieces of the vocabulary at most. "
            f"Received: {', '.join(unknown[:5]) if unknown else len(tokens)}."
        )


def check_texts(texts) -> None:
    """Raise ValueError for one text where a list is expected: its characters would be taken."""
    if isinstance(texts, str | bytes):
        raise ValueError(f"Expected a list of texts. Received one text: {texts[:40]!r}.")


def check_arguments(pair: bool, sequence_length: int | None, padding: str) -> None:
    """Raise ValueError for an unknown padding, and a `sequence_length` missing or too small."""
    if padding not in ("longest", "sequence_length"):
        raise ValueError(
            f'`padding` must be "longest" or "sequence_length". Received: {padding!r}.'
        )
    if sequence_length is not None:
        check_sequence_length(sequence_length, pair)
    elif padding == "sequence_length":
        raise ValueError('`padding="sequence_length"` needs a `sequence_length`.')
