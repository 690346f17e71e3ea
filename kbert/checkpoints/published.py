"""What the published formats share: configuration files and vocabularies."""

import json
import pathlib
import re

from kbert.config import BertConfig
from kbert.errors import DataError
from kbert.text.vocabulary import load_vocabulary

# Of all pieces with an ASCII letter, the share with a capital: of Google's vocabularies 0 % in the
# uncased one, 0.05 % in the Chinese one, 31 % and 25 % in the cased and the multilingual one.
_CASED_SHARE = 0.02
_ASCII_LETTER = re.compile("[A-Za-z]")


def read_object(path: pathlib.Path) -> dict:
    """A JSON file that holds an object. Raises `DataError` for any other."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} must be a JSON file: {error}.") from error
    if not isinstance(values, dict):
        raise DataError(f"{path} must hold a JSON object. Received: {type(values).__name__}.")
    return values


def read_config(path: pathlib.Path, fields: dict) -> BertConfig:
    """The configuration that `fields`, read from `path`, describe."""
    try:
        return BertConfig.from_dict(fields)
    except (ValueError, TypeError) as error:
        raise DataError(f"{path} is not a BERT configuration: {error}") from error


def read_vocabulary(path: pathlib.Path, config: BertConfig) -> list[str]:
    """The pieces of vocab.txt, as many as the model has."""
    return check_size(path, load_vocabulary(path), config)


def check_size(path: pathlib.Path, pieces: list[str], config: BertConfig) -> list[str]:
    if len(pieces) != config.vocabulary_size:
        raise DataError(
            f"{path} must have the {config.vocabulary_size} pieces of the model. "
            f"Received: {len(pieces)}."
        )
    return pieces


def is_cased(pieces: list[str]) -> bool:
    """Whether a vocabulary was made from text with its capitals."""
    words = [piece for piece in pieces if not (piece.startswith("[") and piece.endswith("]"))]
    latin = [piece for piece in words if _ASCII_LETTER.search(piece)]
    capitals = sum(piece != piece.lower() for piece in latin)
    return capitals > _CASED_SHARE * max(len(latin), 1)
