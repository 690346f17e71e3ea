"""The feature-based approach (BERT paper, section 5.3): a frozen encoder's vectors, computed once.

    model        inputs -> encoder -> encoder_features -> head -> outputs    is kept and answers
    extractor    inputs -> encoder -> encoder_features                       runs once, no dropout
    trained                           encoder_features -> head -> outputs    learns

All three share their layers. The vectors of a file's tokens stand one after another in one .npy
file (tokens, width), mapped into memory; its name is a digest of all that they depend on. It is
written under another name first: what an interrupted run has left is computed anew.
"""

import dataclasses
import hashlib
import itertools
import json
import pathlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import keras
import numpy as np
from tqdm import tqdm

from kbert.checkpoints.weights import model_weights
from kbert.config import BertConfig
from kbert.files import replacing
from kbert.inference.answering import predict_features
from kbert.tasks.features import TOKEN_VECTORS, Feature
from kbert.tasks.heads.encoder_features import LAYER

# Features whose vectors are in memory at once: 128 of 128 tokens, 3,072 wide, take 200 MB.
AT_ONCE = 128


class Parts(NamedTuple):
    """What `split` makes of a model."""

    extractor: keras.Model
    trained: keras.Model


class Cache(NamedTuple):
    """Where vectors are kept, None for memory, and as which type."""

    folder: pathlib.Path | None
    dtype: str


def split(model: keras.Model) -> Parts:
    """The model before and behind its frozen features; the parts share its layers."""
    vectors = model.get_layer(LAYER).output
    behind = keras.Model([vectors, model.input["padding_mask"]], model.output)
    inputs = {
        TOKEN_VECTORS: keras.Input(vectors.shape[1:], dtype=vectors.dtype, name=TOKEN_VECTORS),
        "padding_mask": keras.Input((None,), dtype="int32", name="padding_mask"),
    }
    return Parts(
        keras.Model(model.input, {TOKEN_VECTORS: vectors}),
        keras.Model(inputs, behind(list(inputs.values())), name=model.name),
    )


def as_vectors(
    extractor: keras.Model,
    features: Sequence[Feature],
    config: BertConfig,
    cache: Cache,
    batch_size: int,
    silent: bool,
) -> list[Feature]:
    """The features with the extractor's vectors, (sequence, width), in the place of token ids.

    Args:
        config: of the encoder.
    """
    ends = list(itertools.accumulate(feature.length for feature in features))
    if not features:
        return []
    shape = (ends[-1], extractor.output[TOKEN_VECTORS].shape[-1])
    if cache.folder is None:
        array = np.empty(shape, cache.dtype)
        _write_vectors(array, extractor, features, config, batch_size, silent)
    else:
        path = cache.folder / f"{_digest(extractor, features, config, cache.dtype)}.npy"
        array = _cached(path, shape)
        if array is None:
            with replacing(path) as temporary:
                array = np.lib.format.open_memmap(temporary, "w+", cache.dtype, shape)
                _write_vectors(array, extractor, features, config, batch_size, silent)
                array.flush()
            array = _cached(path, shape)
    return [
        feature._replace(
            inputs={
                TOKEN_VECTORS: array[end - feature.length : end],
                "padding_mask": feature.inputs["padding_mask"],
            }
        )
        for feature, end in zip(features, ends, strict=True)
    ]


def _cached(path: pathlib.Path, shape: tuple[int, int]) -> np.ndarray | None:
    """The vectors in a file, mapped into memory; None where there are none, or not all of them."""
    try:
        array = np.load(path, mmap_mode="r")
    except (OSError, ValueError):
        return None
    return array if array.shape == shape else None


def _write_vectors(
    array: np.ndarray,
    extractor: keras.Model,
    features: Sequence[Feature],
    config: BertConfig,
    batch_size: int,
    silent: bool,
) -> None:
    """Write the vectors of all tokens into (tokens, width)."""
    start, hidden = 0, True if silent else None  # None: where there is no terminal.
    with tqdm(total=len(array), desc="features", unit=" tokens", disable=hidden) as bar:
        for feature, vectors in _computed(extractor, features, config, batch_size):
            array[start : start + feature.length] = vectors[: feature.length]
            start += feature.length
            bar.update(feature.length)


def _computed(
    extractor: keras.Model, features: Sequence[Feature], config: BertConfig, batch_size: int
) -> Iterator[tuple[Feature, np.ndarray]]:
    """Each feature with its vectors, (sequence or longer, width)."""
    for start in range(0, len(features), AT_ONCE):
        some = features[start : start + AT_ONCE]
        outputs = predict_features(extractor, some, batch_size, config.max_sequence_length)
        for feature, output in zip(some, outputs, strict=True):
            yield feature, output[TOKEN_VECTORS]


def _digest(
    extractor: keras.Model, features: Sequence[Feature], config: BertConfig, dtype: str
) -> str:
    """Of all that the vectors are a function of: weights, architecture, precision, tokens."""
    # Dropout is off, whatever its rate.
    settings = {
        "encoder": dataclasses.replace(config, dropout=0.0, attention_dropout=0.0).to_dict(),
        # Which hidden states, and how they are joined.
        "graph": [type(operation).__name__ for operation in extractor.operations],
        "precision": keras.config.dtype_policy().name,
        "dtype": dtype,
    }
    found = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for name, weight in sorted(model_weights(extractor).items()):
        found.update(name.encode())
        found.update(np.ascontiguousarray(keras.ops.convert_to_numpy(weight)))
    for feature in features:
        for name, array in sorted(feature.inputs.items()):
            found.update(f"{name}{array.shape}".encode())
            found.update(np.ascontiguousarray(array))
    return found.hexdigest()[:32]
