"""Vocabularies of published models: as many pieces as the model has rows, cased or not."""

import itertools
import pathlib
import re
import warnings

from kbert.config import BertConfig
from kbert.errors import DataError
from kbert.text.vocabulary import load_vocabulary

# Of all pieces with an ASCII letter, the share with a capital: of Google's vocabularies 0 % in the
# uncased one, 0.05 % in the Chinese one, 31 % and 25 % in the cased and the multilingual one.
_CASED_SHARE = 0.02
_ASCII_LETTER = re.compile("[A-Za-z]")
# What a token table's rows may have been rounded up to a multiple of.
_MULTIPLES = (8, 16, 32, 64, 128)
# The one published vocabulary whose size is such a multiple: lines are missing if there are fewer.
_CHINESE = 21128


def read_vocabulary(path: pathlib.Path, config: BertConfig) -> list[str]:
    """The pieces of vocab.txt, as many as the model has."""
    return fitted(path, load_vocabulary(path), config)


def fitted(path: pathlib.Path, pieces: list[str], config: BertConfig) -> list[str]:
    """The pieces of the file `path`, as many as the model has rows for.

    Where the rows are the number of pieces rounded up to a multiple, which makes a model faster,
    the other rows get pieces that no text has, because its brackets are tokens of their own.
    Raises `DataError` for another number of pieces.
    """
    size, count = config.vocabulary_size, len(pieces)
    if count == size:
        return pieces
    rounded = [-(-count // multiple) * multiple for multiple in _MULTIPLES]
    if size not in rounded or size == _CHINESE:
        raise DataError(f"{path} must have the {size} pieces of the model. Received: {count}.")
    known = set(pieces)
    names = (f"[unused{number}]" for number in itertools.count(count))
    new = list(itertools.islice((name for name in names if name not in known), size - count))
    warnings.warn(
        f"{path} has {count} pieces and the model {size}: the others are named {new[0]} and so on, "
        "which no text has.",
        stacklevel=2,
    )
    return pieces + new


def is_cased(pieces: list[str]) -> bool:
    """Whether a vocabulary was made from text with its capitals."""
    words = [piece for piece in pieces if not (piece.startswith("[") and piece.endswith("]"))]
    latin = [piece for piece in words if _ASCII_LETTER.search(piece)]
    capitals = sum(piece != piece.lower() for piece in latin)
    return capitals > _CASED_SHARE * max(len(latin), 1)
