"""Weights of a Hugging Face directory under the names of today's transformers."""

import pathlib
import re
from collections.abc import Callable

import numpy as np

from kbert.checkpoints.huggingface.torch_file import open_torch
from kbert.checkpoints.weight_files import Source, open_safetensors, shards
from kbert.errors import DataError

# What the file may hold besides: constants, and copies of weights that stand elsewhere.
CONSTANTS = ("bert.embeddings.position_ids", "bert.embeddings.token_type_ids")
# Of DataParallel and of torch.compile.
_WRAPPERS = re.compile(r"^(module\.|_orig_mod\.)+")
_TIED = {
    "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
    "cls.predictions.decoder.bias": "cls.predictions.bias",
}


def open_weights(path: pathlib.Path) -> Source:
    """The arrays of model.safetensors, of its shards or of pytorch_model.bin, as they are named."""
    index = path / "model.safetensors.index.json"
    if (path / "model.safetensors").is_file():
        return open_safetensors([path / "model.safetensors"])
    if index.is_file():
        return open_safetensors(shards(index))
    if (path / "pytorch_model.bin").is_file():
        return open_torch(path / "pytorch_model.bin")
    raise DataError(f"{path} must have model.safetensors, its shards, or pytorch_model.bin.")


def plainly_named(source: Source) -> Source:
    """The same arrays under today's names: with "bert." before the body, weight and bias in norms
    instead of gamma and beta, without what torch's wrappers put before all."""
    return renamed(source, _plain)


def renamed(source: Source, name_of: Callable[[str], str]) -> Source:
    """The same arrays, each under `name_of` its name. Raises `DataError` for two of one name."""
    originals = {}
    for original in source.shapes:
        name = name_of(original)
        if name in originals:
            raise DataError(f"{source.path} has {original} twice, as {originals[name]} too.")
        originals[name] = original
    shapes = {name: source.shapes[original] for name, original in originals.items()}
    return Source(source.path, shapes, lambda name: source.read(originals[name]))


def _plain(name: str) -> str:
    plain = _WRAPPERS.sub("", name).replace("LayerNorm.gamma", "LayerNorm.weight")
    plain = plain.replace("LayerNorm.beta", "LayerNorm.bias")
    return "bert." + plain if plain.startswith(("embeddings.", "encoder.", "pooler.")) else plain


def without_copies(source: Source) -> Source:
    """The source without the copies of tied weights. Raises `DataError` if one is no copy.

    Of two names for one weight a file may have either: old ones have the bias as the decoder's.
    """
    shapes, copies = dict(source.shapes), {}
    for copy, original in _TIED.items():
        if copy not in shapes:
            continue
        if original not in shapes:
            shapes[original], copies[original] = shapes.pop(copy), copy
            continue
        if not np.array_equal(source.read(copy), source.read(original)):
            raise DataError(
                f"{source.path}: {copy} must be tied to {original}. Received: other values."
            )
        del shapes[copy]
    return source._replace(shapes=shapes, read=lambda name: source.read(copies.get(name, name)))
