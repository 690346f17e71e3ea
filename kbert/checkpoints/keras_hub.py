"""keras-hub presets on disk (`BertBackbone` and `BertTokenizer`) in and out, through keras-hub."""

import os
import pathlib
import warnings
from collections.abc import Iterator

import keras

from kbert.checkpoints.directory import Checkpoint
from kbert.checkpoints.hubs import folder_of
from kbert.checkpoints.published_config import (
    check_is_plain,
    check_understood,
    check_values,
    config_of,
)
from kbert.checkpoints.published_vocabulary import fitted
from kbert.checkpoints.transfer import Place, arrays_of, fill
from kbert.checkpoints.weight_files import Source, merge_heads
from kbert.checkpoints.weight_names import all_names
from kbert.checkpoints.weights import check_size
from kbert.config import BertConfig
from kbert.errors import DataError
from kbert.files import read_object
from kbert.layers.dense import blank_weights
from kbert.models import build_encoder, objective_of
from kbert.text.available import tokenizer_class
from kbert.text.piece_ids import PieceIds
from kbert.text.vocabulary import load_vocabulary
from kbert.text.words import strips_accents

# Written into `BertBackbone`, so not part of its configuration.
_ACTIVATION, _EPSILON = "gelu_tanh", 1e-12
_FIELDS = ("vocabulary_size", "num_layers", "num_heads", "hidden_dim", "intermediate_dim")
_FIELDS += ("dropout", "max_sequence_length", "num_segments")
# Of every Keras layer.
_OF_LAYERS = ("name", "trainable", "dtype")
# Of a tokenizer: what has one value in BERT's, if it is said.
_TOKENIZER = {
    "split_on_cjk": (True,),
    "split": (True,),
    "suffix_indicator": ("##",),
    "oov_token": ("[UNK]",),
    "special_tokens_in_strings": (False,),
    "special_tokens": (None,),
}
_VOCABULARY = pathlib.Path("assets", "tokenizer", "vocabulary.txt")


def from_keras_hub(path: str | os.PathLike) -> Checkpoint:
    """Read the encoder and the tokenizer of a preset: a folder, keras:PRESET or kaggle:HANDLE.

    The head of a preset that was saved from a task is not read; a warning says so. Raises
    `DataError` for a preset that is not BERT's, and for what it lacks.
    """
    path = folder_of(path)
    file = path / "config.json"
    described = read_object(file)
    name = described.get("class_name")
    if name != "BertBackbone" or not isinstance(described.get("config"), dict):
        raise DataError(f"{file} must be of keras-hub's BertBackbone. Received: {name!r}.")
    fields = dict(described["config"])
    check_understood(file, fields, (*_FIELDS, *_OF_LAYERS))
    fields = {key: value for key, value in fields.items() if key in _FIELDS}
    fields["attention_dropout"] = fields.get("dropout", 0.1)
    config = config_of(file, {**fields, "activation": _ACTIVATION})
    tokenizer = _read_tokenizer(path, config)
    if (path / "task.json").is_file():
        warnings.warn(f"{path} has a task with a head, which is not read.", stacklevel=2)
    weights = path / "model.weights.h5"
    if weights.is_file():  # A byte is no weight: of more weights than bytes the file has not all.
        check_size(weights, [(weights.stat().st_size,)], config)
    backbone = _backbone(config)
    try:
        backbone.load_weights(weights)
    except Exception as error:  # Keras and h5py raise a different class for nearly every damage.
        raise DataError(f"{weights} cannot be read: {error}") from error
    with blank_weights():
        model = build_encoder(config)
    fill(model, _places(config), _source(path, backbone))
    return Checkpoint(model, tokenizer, config)


def to_keras_hub(path: str | os.PathLike, checkpoint: Checkpoint) -> None:
    """Write an encoder and its tokenizer as a preset folder that `from_preset` reads.

    Raises `DataError` for what a preset cannot hold: pre-training heads, a task, an activation but
    tanh-GELU, another epsilon, Chinese text that is not split.
    """
    import keras_hub

    path = pathlib.Path(path)
    model, tokenizer, config, task = checkpoint
    _check_fits(model, tokenizer, config, task)
    backbone = _backbone(config)
    weights = {weight.path: weight for weight in backbone.weights}
    for name, array in arrays_of(model, _places(config)).items():
        weights[name].assign(array.reshape(weights[name].shape))
    path.mkdir(parents=True, exist_ok=True)
    backbone.save_to_preset(path)
    keras_hub.models.BertTokenizer(
        vocabulary=tokenizer.vocabulary,
        lowercase=tokenizer.lowercase,
        # keras-hub does not follow the case.
        strip_accents=strips_accents(tokenizer.lowercase, tokenizer.strip_accents),
    ).save_to_preset(path)


def _check_fits(model, tokenizer, config, task):
    if task is not None:
        raise DataError(f"A keras-hub preset has no place for the task {task.name}.")
    if objective_of(model) is not None:
        raise DataError(
            "A keras-hub preset has no place for pre-training heads: convert the encoder alone."
        )
    check_is_plain(config, "A keras-hub preset")
    if config.activation != _ACTIVATION:
        raise DataError(f"keras-hub's BertBackbone computes tanh-GELU, not {config.activation}.")
    if config.layer_norm_epsilon != _EPSILON:
        raise DataError(
            f"keras-hub's BertBackbone has an epsilon of {_EPSILON}. "
            f"Received: {config.layer_norm_epsilon}."
        )
    if config.dropout != config.attention_dropout:
        raise DataError(
            "keras-hub's BertBackbone has one dropout for hidden values and attention. "
            f"Received: {config.dropout} and {config.attention_dropout}."
        )
    if tokenizer.added_tokens:
        raise DataError("keras-hub's BertTokenizer has no place for added tokens.")
    if not tokenizer.split_chinese:
        raise DataError("keras-hub's BertTokenizer always splits Chinese characters.")


def _backbone(config: BertConfig) -> keras.Model:
    # It takes seconds to import.
    import keras_hub

    values = {name: getattr(config, name) for name in _FIELDS}
    return keras_hub.models.BertBackbone(**values, dtype="float32")


def _source(path, backbone) -> Source:
    weights = {weight.path: weight for weight in backbone.weights}
    shapes = {
        name: merge_heads(name, tuple(weight.shape), "attention_output")
        for name, weight in weights.items()
    }
    return Source(
        path / "model.weights.h5",
        shapes,
        lambda name: keras.ops.convert_to_numpy(weights[name]).reshape(shapes[name]),
    )


def _places(config: BertConfig) -> Iterator[Place]:
    for names in all_names(config):
        if names.keras_hub is not None:
            yield Place(names.keras_hub, names.ours, names.third)


def _read_tokenizer(path: pathlib.Path, config: BertConfig) -> PieceIds:
    file = path / "tokenizer.json"
    described = read_object(file)
    name, fields = described.get("class_name"), described.get("config")
    if name != "BertTokenizer" or not isinstance(fields, dict):
        raise DataError(f"{file} must be of keras-hub's BertTokenizer. Received: {name!r}.")
    options = ("lowercase", "strip_accents", "vocabulary", "config_file", "sequence_length")
    check_understood(file, fields, (*options, *_TOKENIZER, *_OF_LAYERS))
    check_values(file, fields, _TOKENIZER)
    pieces = fitted(path / _VOCABULARY, load_vocabulary(path / _VOCABULARY), config)
    lowercase = bool(fields.get("lowercase", False))
    strip_accents = bool(fields.get("strip_accents", False))
    # What follows the case is BERT's default.
    return tokenizer_class(keras.backend.backend())(
        pieces, lowercase, None if strip_accents == lowercase else strip_accents
    )
