"""Hugging Face directories in and out, without PyTorch or transformers.

config.json                                  the architecture, a fine-tuned model's labels
model.safetensors, or shards with an index,  the weights
or pytorch_model.bin
vocab.txt or tokenizer.json                  the vocabulary
tokenizer_config.json                        the tokenizer's options
"""

import contextlib
import os
import pathlib
import warnings
from collections.abc import Iterator

import keras
import numpy as np

from kbert.checkpoints.directory import BUILDERS, Checkpoint
from kbert.checkpoints.huggingface.tasks import (
    ARCHITECTURES,
    architecture_of,
    in_units,
    places,
    read_task,
    reordered,
    task_fields,
)
from kbert.checkpoints.huggingface.tokenizer import read_tokenizer, write_tokenizer
from kbert.checkpoints.huggingface.torch_file import open_torch
from kbert.checkpoints.published_vocabulary import read_config
from kbert.checkpoints.transfer import Place, arrays_of, fill
from kbert.checkpoints.weight_files import Source, open_safetensors, shards
from kbert.checkpoints.weight_names import all_names
from kbert.checkpoints.weights import write_arrays
from kbert.config import BertConfig
from kbert.errors import DataError
from kbert.files import read_object, write_json
from kbert.layers.dense import blank_weights
from kbert.models import build_encoder
from kbert.tasks.base import Task

ENCODER, PRETRAINING = "BertModel", "BertForPreTraining"
_PRETRAINED = (ENCODER, PRETRAINING, "BertForMaskedLM", "BertForNextSentencePrediction")

# What the file may hold besides: constants, and copies of weights that stand elsewhere.
_CONSTANTS = ("bert.embeddings.position_ids", "bert.embeddings.token_type_ids")
_TIED = {
    "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
    "cls.predictions.decoder.bias": "cls.predictions.bias",
}
_OUR_ACTIVATIONS = {"gelu_erf": "gelu", "gelu_tanh": "gelu_new", "relu": "relu"}


def from_huggingface(
    path: str | os.PathLike, allow_missing_heads: bool = False, second_column: str | None = None
) -> Checkpoint:
    """Read a BERT that transformers wrote: an encoder, one with pre-training heads, or a
    fine-tuned model with its labels.

    Args:
        allow_missing_heads: initialise a head that the file lacks anew, with a warning that names
            it.
        second_column: of a classifier that takes pairs, which the folder does not say: what the
            second text's column is called.

    Raises `DataError` for a model that is not BERT, and for weights that are missing, extra,
    wrongly shaped, no numbers or of a damaged file, each by name.
    """
    path = pathlib.Path(path)
    fields = read_object(path / "config.json")
    _check_is_bert(path / "config.json", fields)
    config = read_config(path / "config.json", fields)
    source = _without_copies(_plainly_named(_open_weights(path)))
    architecture = (fields.get("architectures") or [ENCODER])[0]
    if architecture not in (*_PRETRAINED, *ARCHITECTURES):
        raise DataError(
            f"{path / 'config.json'} must name one of {(*_PRETRAINED, *ARCHITECTURES)}. "
            f"Received: {architecture}."
        )
    task = None
    # A head that is not in the file begins as a new one.
    with contextlib.nullcontext() if allow_missing_heads else blank_weights():
        if architecture in ARCHITECTURES:
            task, order = read_task(path / "config.json", fields, config, second_column)
            source = reordered(source, architecture, order)
            model = task.build_model(build_encoder(config))
        else:
            heads = any(name.startswith("cls.") for name in source.shapes)
            model = BUILDERS["pretraining" if heads else "encoder"](config)
    wanted = _places(config, architecture)
    absent = fill(model, wanted, source, _CONSTANTS, allow_missing_heads)
    if absent:
        warnings.warn(f"{path} has no {', '.join(absent)}: newly initialised.", stacklevel=2)
    tokenizer = read_tokenizer(path, config)
    return Checkpoint(model, tokenizer, config, task)


def to_huggingface(path: str | os.PathLike, checkpoint: Checkpoint, dtype: str = "float32") -> None:
    """Write a directory that transformers loads; `dtype` is "float32" or "float16".

    Raises `DataError` for a task whose model transformers does not have.
    """
    path = pathlib.Path(path)
    model, tokenizer, config, task = checkpoint
    architecture = _architecture(model, task)
    arrays = in_units(task, arrays_of(model, _places(config, architecture)))
    prefix = "bert." if architecture == ENCODER else ""
    arrays = {name.removeprefix(prefix): array.astype(dtype) for name, array in arrays.items()}
    path.mkdir(parents=True, exist_ok=True)
    write_json(path / "config.json", _fields(config, architecture, task, dtype))
    write_tokenizer(path, tokenizer, config)
    # transformers refuses a file that does not say which framework it was written for.
    write_arrays(path / "model.safetensors", arrays, {"format": "pt"})


def _check_is_bert(file, fields):
    kind = fields.get("model_type", "bert")
    if kind != "bert":
        raise DataError(f"{file} must be of a BERT model. Received: model_type {kind!r}.")
    for name in ("is_decoder", "add_cross_attention"):
        if fields.get(name):
            raise DataError(f"{file} must be of an encoder. Received: {name} true.")
    positions = fields.get("position_embedding_type", "absolute")
    if positions != "absolute":
        raise DataError(f"{file} must have absolute positions. Received: {positions!r}.")


def _open_weights(path) -> Source:
    index = path / "model.safetensors.index.json"
    if (path / "model.safetensors").is_file():
        return open_safetensors([path / "model.safetensors"])
    if index.is_file():
        return open_safetensors(shards(index))
    if (path / "pytorch_model.bin").is_file():
        return open_torch(path / "pytorch_model.bin")
    raise DataError(f"{path} must have model.safetensors, its shards, or pytorch_model.bin.")


def _plainly_named(source: Source) -> Source:
    """The same arrays under today's names: with "bert." before the body, weight and bias in norms
    instead of gamma and beta."""
    originals = {}
    for name in source.shapes:
        plain = name.replace("LayerNorm.gamma", "LayerNorm.weight")
        plain = plain.replace("LayerNorm.beta", "LayerNorm.bias")
        if plain.startswith(("embeddings.", "encoder.", "pooler.")):
            plain = "bert." + plain
        if plain in originals:
            raise DataError(f"{source.path} has {name} twice, as {originals[plain]} too.")
        originals[plain] = name
    shapes = {plain: source.shapes[name] for plain, name in originals.items()}
    return Source(source.path, shapes, lambda plain: source.read(originals[plain]))


def _without_copies(source: Source) -> Source:
    """The source without the copies of tied weights. Raises `DataError` if one is no copy."""
    shapes = dict(source.shapes)
    for copy, original in _TIED.items():
        if copy not in shapes:
            continue
        if original not in shapes:
            # Old files hold the bias of the decoder only there.
            raise DataError(f"{source.path} has {copy}, but not {original}, which it is tied to.")
        if not np.array_equal(source.read(copy), source.read(original)):
            raise DataError(
                f"{source.path}: {copy} must be tied to {original}. Received: other values."
            )
        del shapes[copy]
    return source._replace(shapes=shapes)


def _places(config: BertConfig, architecture: str) -> Iterator[Place]:
    """Kernels are (output, input) in PyTorch."""
    for names in all_names(config):
        transposed = names.ours.endswith("/kernel")
        yield Place(names.huggingface, names.ours, names.third, transposed)
    yield from places(architecture)


def _architecture(model: keras.Model, task: Task | None) -> str:
    if task is None:
        return PRETRAINING if "masked_lm" in model.output else ENCODER
    return architecture_of(task)


def _fields(config: BertConfig, architecture: str, task: Task | None, dtype: str) -> dict:
    fields = {
        "architectures": [architecture],
        "model_type": "bert",
        "dtype": dtype,
        "vocab_size": config.vocabulary_size,
        "hidden_size": config.hidden_dim,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "intermediate_size": config.intermediate_dim,
        "hidden_act": _OUR_ACTIVATIONS[config.activation],
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.attention_dropout,
        "max_position_embeddings": config.max_sequence_length,
        "type_vocab_size": config.num_segments,
        "initializer_range": config.initializer_stddev,
        "layer_norm_eps": config.layer_norm_epsilon,
        "pad_token_id": 0,
    }
    return fields if task is None else fields | task_fields(task)
