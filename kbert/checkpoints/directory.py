"""kbert's own checkpoint: a directory with everything that a model needs to answer.

config.json         the encoder's BertConfig, the tokenizer's options, the kind of model and its
                    objective of pre-training, checksums
vocab.txt           one piece a line
model.safetensors   the weights
task.json           of a fine-tuned model: the task, its labels, its sequence length
source.json         of one that began with a model of a hub: that one's name and licence

What is in a folder besides stays: a run's saves, its curves, pooling.json.
"""

import dataclasses
import os
import pathlib
import shutil
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import keras

from kbert.checkpoints.hubs import SOURCE, folder_of
from kbert.checkpoints.weights import (
    check_size,
    load_weights,
    model_weights,
    save_weights,
    stored_shapes,
)
from kbert.checksums import check_file, read_checked, with_checksums
from kbert.config import BertConfig
from kbert.errors import DataError
from kbert.files import current, is_there, replacing_together, write_json
from kbert.layers.dense import blank_weights
from kbert.models import (
    BERT_OBJECTIVE,
    OBJECTIVE_HEADS,
    build_encoder,
    build_pretraining_model,
    objective_of,
)
from kbert.tasks import read_task
from kbert.tasks.base import Task
from kbert.tasks.heads.encoder_features import num_layers_below
from kbert.text.available import tokenizer_class
from kbert.text.tokenizer_options import TokenizerOptions
from kbert.text.vocabulary import load_vocabulary, save_vocabulary

if TYPE_CHECKING:
    from kbert.text.tokenizer import WordPieceTokenizer

FORMAT = 1
# What `save` writes for a fine-tuned model.
FILES = ("config.json", "vocab.txt", "model.safetensors", "task.json")
# What a source may lack: an encoder has no heads, and some tasks have no use for the pooler.
POOLER = "pooler/"
_OPTIONAL = ("masked_lm_head/", "masked_lm_bias/", POOLER)
_OPTIONAL += ("next_sentence_head/", "sentence_order_head/")
_OUTPUTS = ("sequence_output", "pooled_output")  # Of an encoder.
_KINDS = ("encoder", "pretraining", "task")


class Checkpoint(NamedTuple):
    """A model with what belongs to it; `task` is None for an encoder or a pre-training model."""

    model: keras.Model
    tokenizer: "WordPieceTokenizer"
    config: BertConfig
    task: Task | None = None


def save(path: str | os.PathLike, checkpoint: Checkpoint, dtype: str = "float32") -> None:
    """Write a checkpoint directory, the weights in `dtype`.

    Killed at any moment, it leaves the model that was there before or the new one.
    """
    with replacing_together(path) as folder:
        write(folder, checkpoint, dtype)
    if checkpoint.task is None:
        pathlib.Path(path, "task.json").unlink(missing_ok=True)


def write(
    folder: pathlib.Path,
    checkpoint: Checkpoint,
    dtype: str = "float32",
    others: Iterable[str] = (),
) -> None:
    """Write the files of a checkpoint one after another into a folder that is there and new.

    `others` are names of files in it whose checksums config.json states, too.
    """
    model, tokenizer, config, task = checkpoint
    kind, names = {"model": "task"}, ["vocab.txt", "model.safetensors", *others]
    if task is None:
        objective = objective_of(model)
        kind = {"model": "encoder"}
        if objective is not None:
            kind = {"model": "pretraining", "objective": objective}
    else:
        write_json(folder / "task.json", {"name": task.name, **task.to_json()})
        names.append("task.json")
    save_vocabulary(folder / "vocab.txt", tokenizer.vocabulary)
    save_weights(folder / "model.safetensors", model, dtype)
    description = {
        "format": FORMAT,
        **kind,
        "encoder": config.to_dict(),
        "tokenizer": tokenizer.options,
    }
    write_json(folder / "config.json", with_checksums(description, "config.json", folder, names))


def copy(source: str | os.PathLike, target: str | os.PathLike) -> None:
    """Copy a checkpoint's own files into a folder, and what it says of its origin."""
    with replacing_together(target) as folder:
        for name in (*FILES, SOURCE):
            if current(source, name).is_file():
                shutil.copyfile(current(source, name), folder / name)


def load(path: str | os.PathLike) -> Checkpoint:
    """Read a checkpoint directory, or one of a hub by its name (hf:OWNER/NAME).

    Raises `DataError` naming what does not fit.
    """
    path = folder_of(path)
    tokenizer = _load_tokenizer(path)
    model, config, task = load_model(path)
    return Checkpoint(model, tokenizer, config, task)


def _load_tokenizer(path: str | os.PathLike) -> "WordPieceTokenizer":
    """The tokenizer of a checkpoint directory. Raises `DataError` for pieces of another model."""
    vocabulary = load_vocabulary(checked(path, "vocab.txt"))
    size = load_config(path).vocabulary_size
    if len(vocabulary) != size:
        raise DataError(
            f"{current(path, 'vocab.txt')} must have the {size} pieces of the model. "
            f"Received: {len(vocabulary)}."
        )
    tokenizer = tokenizer_class(keras.backend.backend())
    return tokenizer(vocabulary, **load_options(path).arguments())


def load_options(path: str | os.PathLike) -> TokenizerOptions:
    """How the tokenizer of a checkpoint directory reads text."""
    where = f"{current(path, 'config.json')}, tokenizer"
    return TokenizerOptions.from_json(_description(path)["tokenizer"], where)


def load_model(path: str | os.PathLike) -> tuple[keras.Model, BertConfig, Task | None]:
    """The model of a checkpoint directory with its config and task, without TensorFlow.

    Raises `DataError` naming what does not fit; before a model is built that its file of weights
    could not fill.
    """
    config, task = load_config(path), load_task(path)
    weights = checked(path, "model.safetensors")
    num_layers = num_layers_below(task and task.features, config.num_layers)
    check_size(weights, stored_shapes(weights).values(), config, num_layers)
    with blank_weights():
        if task is not None:
            model = task.build_model(build_encoder(config))
        else:
            pooler = any(name.startswith(POOLER) for name in stored_shapes(weights))
            model = untrained(config, load_objective(path), pooler)
    load_weights(weights, model)
    return model, config, task


def load_config(path: str | os.PathLike) -> BertConfig:
    """The encoder's configuration in a checkpoint directory."""
    file, fields = current(path, "config.json"), _description(path)["encoder"]
    unknown = sorted(set(fields) - {field.name for field in dataclasses.fields(BertConfig)})
    if unknown:
        raise DataError(f"{file} has an encoder with unknown fields: {', '.join(unknown)}.")
    try:
        return BertConfig.from_dict(fields)
    except ValueError as error:
        raise DataError(f"{file} is not a BERT configuration: {error}") from error


def load_objective(path: str | os.PathLike) -> str | None:
    """What the model of a checkpoint directory was pre-trained for; None of any other model."""
    description = _description(path)
    if description["model"] != "pretraining":
        return None
    # Of a checkpoint that does not say it, it is BERT's.
    objective = description.get("objective", BERT_OBJECTIVE)
    if not isinstance(objective, str) or objective not in OBJECTIVE_HEADS:
        raise DataError(
            f"{current(path, 'config.json')} must name one of the objectives "
            f"{list(OBJECTIVE_HEADS)}. Received: {objective!r}."
        )
    return objective


def untrained(config: BertConfig, objective: str | None, pooler: bool = True) -> keras.Model:
    """A new pre-training model of an objective, or without one an encoder, with a pooler or not."""
    if objective is None:
        return build_encoder(config, _OUTPUTS if pooler else _OUTPUTS[:1])
    return build_pretraining_model(config, objective=objective)


def load_task(path: str | os.PathLike) -> Task | None:
    """The task of a checkpoint directory; None of an encoder or a pre-training model."""
    if _description(path)["model"] != "task":
        return None
    return read_task(checked(path, "task.json"), load_config(path).max_sequence_length)


def checked(path: str | os.PathLike, name: str) -> pathlib.Path:
    """Where a file of a checkpoint directory is. Raises `DataError` if it is missing or damaged."""
    description, file = _description(path), current(path, name)
    if not file.is_file():
        raise DataError(f"{path} has no {name}: the checkpoint is not whole.")
    check_file(file, name, description, current(path, "config.json"))
    return file


def has_pooler(model: keras.Model) -> bool:
    """Whether a pooler is among a model's weights; a masked LM alone has none."""
    return any(name.startswith(POOLER) for name in model_weights(model))


def known_outputs(model: keras.Model) -> tuple[str, ...]:
    """The outputs of an encoder with a model's weights: without a pooler no `pooled_output`."""
    return _OUTPUTS if has_pooler(model) else _OUTPUTS[:1]


def encoder_of(checkpoint: Checkpoint, outputs: tuple[str, ...] = _OUTPUTS) -> keras.Model:
    """A new encoder of the checkpoint's configuration with its weights, whatever heads it has.

    `outputs` are those of `build_encoder`. For a `pooled_output` a pooler that the checkpoint lacks
    begins anew, with random weights.
    """
    encoder = build_encoder(checkpoint.config, outputs)
    copy_weights(checkpoint.model, encoder)
    return encoder


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Copy the weights that both models have. Raises `DataError` where the encoders differ.

    What the source lacks of heads and pooler stays as it is in the target.
    """
    weights = model_weights(source)
    for name, weight in model_weights(target).items():
        if name not in weights and name.startswith(_OPTIONAL):
            continue
        if name not in weights or weights[name].shape != weight.shape:
            raise DataError(f"The model {source.name} has no weight {name} of {weight.shape}.")
        weight.assign(weights[name])


def _description(path: str | os.PathLike) -> dict:
    """What config.json holds, each value of the type that it must have."""
    file = current(path, "config.json")
    if not is_there(path):
        raise DataError(f"There is no folder {path}.")
    others = f"kbert convert {path} --output FOLDER reads what other tools wrote"
    if not file.is_file():
        raise DataError(f"{path} must be a checkpoint directory; it has no config.json ({others}).")
    values = read_checked(file)
    if values.get("format") != FORMAT:
        raise DataError(f"{file} must be a kbert configuration of format {FORMAT} ({others}).")
    if values.get("model") not in _KINDS:
        raise DataError(
            f"{file} must name one of the models {list(_KINDS)}. Received: {values.get('model')!r}."
        )
    for key in ("encoder", "tokenizer"):
        if not isinstance(values.get(key), dict):
            raise DataError(
                f"{file} must have a JSON object under {key!r}. Received: {values.get(key)!r}."
            )
    return values
