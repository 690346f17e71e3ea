"""What the published formats share: configuration files, vocabularies, sources of weights."""

import json
import os
import pathlib

from kbert.checkpoints.transfer import Source
from kbert.checkpoints.weights import read_arrays
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


def open_safetensors(files: list[pathlib.Path]) -> Source:
    """The arrays of one safetensors file, or of the shards of one model, memory-mapped."""
    homes = {}
    for path in files:
        if not path.is_file():
            raise DataError(f"{path} is missing.")
        file = read_arrays(path)
        homes.update(dict.fromkeys(file.keys(), file))
    shapes = {name: tuple(file.get_slice(name).get_shape()) for name, file in homes.items()}
    return Source(files[0], shapes, lambda name: homes[name].get_tensor(name))


def shards(index: pathlib.Path) -> list[pathlib.Path]:
    """The files that `model.safetensors.index.json` names, all beside it."""
    weight_map = read_object(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise DataError(f"{index} must have a `weight_map`: the file of each weight.")
    names = sorted({str(name) for name in weight_map.values()})
    for name in names:
        if os.path.basename(name) != name or name in ("", ".", ".."):
            raise DataError(f"{index} must name files beside it. Received: {name!r}.")
    return [index.parent / name for name in names]


def merge_heads(name: str, shape: tuple[int, ...], output_layer: str) -> tuple[int, ...]:
    """The shape of an attention weight whose heads have an axis of their own, without that axis.

    Kernels that make heads are (hidden, heads, head width), that which joins them, of
    `output_layer`, is (heads, head width, hidden), biases of heads are (heads, head width).
    """
    if len(shape) == 3 and output_layer in name:
        return (shape[0] * shape[1], shape[2])
    if len(shape) == 3:
        return (shape[0], shape[1] * shape[2])
    is_bias = name.endswith("/bias") and len(shape) == 2
    return (shape[0] * shape[1],) if is_bias else tuple(shape)
