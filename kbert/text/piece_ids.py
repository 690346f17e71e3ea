"""What the tokenizers in TensorFlow and in Python share: the vocabulary, its ids, the options."""

import os
import re
from collections.abc import Sequence

from kbert.text.segments import check_sequence_length
from kbert.text.vocabulary import (
    SPECIAL_TOKENS,
    check_vocabulary,
    load_vocabulary,
    special_token_ids,
)

# With a group around all of it, so that `split` keeps what it finds.
SPECIAL_TOKEN = re.compile("(" + "|".join(map(re.escape, SPECIAL_TOKENS)) + ")")
# Noncharacters that a tokenizer may put in the place of special tokens; a text loses them.
PLACEHOLDERS = dict(zip(SPECIAL_TOKENS, "\ufdd0\ufdd1\ufdd2\ufdd3\ufdd4", strict=True))


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
        self.special_ids = tuple(special_token_ids(pieces).values())
        self.pad_id, self.unk_id, self.cls_id, self.sep_id, self.mask_id = self.special_ids

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
        return {
            "lowercase": self.lowercase,
            "strip_accents": self.strip_accents,
            "split_chinese": self.split_chinese,
        }

    @property
    def strips_accents(self) -> bool:
        """Whether accents are dropped: as told, else where text is lower-cased."""
        return self.lowercase if self.strip_accents is None else self.strip_accents


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
