"""What the published formats share: configuration files and vocabularies."""

import json
import pathlib

from kbert.config import BertConfig
from kbert.errors import DataError
from kbert.text.vocabulary import load_vocabulary


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
