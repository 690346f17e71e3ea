"""kbert's own checkpoint: a directory with everything that a model needs to answer.

config.json         the encoder's BertConfig, the tokenizer's options, the kind of model
vocab.txt           one piece a line
model.safetensors   the weights
task.json           of a fine-tuned model: the task, its labels, its sequence length
"""

import os
import pathlib
from typing import TYPE_CHECKING, NamedTuple

import keras

from kbert.checkpoints.weights import load_weights, model_weights, save_weights
from kbert.config import BertConfig
from kbert.errors import DataError
from kbert.files import read_object, write_json
from kbert.layers.dense import blank_weights
from kbert.models import build_encoder, build_pretraining_model
from kbert.tasks import TASKS
from kbert.tasks.base import Task
from kbert.text.vocabulary import load_vocabulary, save_vocabulary

if TYPE_CHECKING:
    from kbert.text.tokenizer import WordPieceTokenizer

FORMAT = 1
# What `save` writes for a fine-tuned model, the weights last.
FILES = ("task.json", "config.json", "vocab.txt", "model.safetensors")
# What a source may lack: an encoder has no heads, and some tasks have no use for the pooler.
_OPTIONAL = ("masked_lm_head/", "masked_lm_bias/", "next_sentence_head/", "pooler/")
BUILDERS = {"encoder": build_encoder, "pretraining": build_pretraining_model}


class Checkpoint(NamedTuple):
    """A model with what belongs to it; `task` is None for an encoder or a pre-training model."""

    model: keras.Model
    tokenizer: "WordPieceTokenizer"
    config: BertConfig
    task: Task | None = None


def save(path: str | os.PathLike, checkpoint: Checkpoint, dtype: str = "float32") -> None:
    """Write a checkpoint directory; the weights, in `dtype`, come last."""
    path = pathlib.Path(path)
    model, tokenizer, config, task = checkpoint
    path.mkdir(parents=True, exist_ok=True)
    if task is None:
        kind = "pretraining" if "masked_lm" in model.output else "encoder"
        (path / "task.json").unlink(missing_ok=True)
    else:
        kind = "task"
        write_json(path / "task.json", {"name": task.name, **task.to_json()})
    write_json(
        path / "config.json",
        {
            "format": FORMAT,
            "model": kind,
            "encoder": config.to_dict(),
            "tokenizer": tokenizer.options,
        },
    )
    save_vocabulary(path / "vocab.txt", tokenizer.vocabulary)
    save_weights(path / "model.safetensors", model, dtype)


def load(path: str | os.PathLike) -> Checkpoint:
    """Read a checkpoint directory. Raises `DataError` naming what does not fit."""
    model, config, task = load_model(path)
    return Checkpoint(model, load_tokenizer(path), config, task)


def load_finetuned(path: str | pathlib.Path) -> Checkpoint:
    """A checkpoint with a task. Raises DataError for one that is only pre-trained."""
    checkpoint = load(path)
    if checkpoint.task is None:
        raise DataError(f"{path} is not fine-tuned: expected what `kbert finetune` wrote.")
    return checkpoint


def load_tokenizer(path: str | os.PathLike) -> "WordPieceTokenizer":
    """The tokenizer of a checkpoint directory. Raises `DataError` for pieces of another model."""
    # Here, because a model loads without TensorFlow, and its tokenizer does not.
    from kbert.text.tokenizer import WordPieceTokenizer

    path = pathlib.Path(path)
    vocabulary, size = load_vocabulary(path / "vocab.txt"), load_config(path).vocabulary_size
    if len(vocabulary) != size:
        raise DataError(
            f"{path / 'vocab.txt'} must have the {size} pieces of the model. "
            f"Received: {len(vocabulary)}."
        )
    return WordPieceTokenizer(vocabulary, **_read(path)["tokenizer"])


def load_model(path: str | os.PathLike) -> tuple[keras.Model, BertConfig, Task | None]:
    """The model of a checkpoint directory with its config and task, without TensorFlow."""
    path = pathlib.Path(path)
    config, task = load_config(path), None
    kind = _read(path)["model"]
    if kind not in (*BUILDERS, "task"):
        raise DataError(
            f"{path / 'config.json'} must name one of the models {[*BUILDERS, 'task']}. "
            f"Received: {kind!r}."
        )
    with blank_weights():
        if kind == "task":
            task = _read_task(path / "task.json")
            model = task.build_model(build_encoder(config))
        else:
            model = BUILDERS[kind](config)
    weights = path / "model.safetensors"
    if not weights.is_file():
        raise DataError(f"{path} has no model.safetensors: the checkpoint is not whole.")
    load_weights(weights, model)
    return model, config, task


def load_config(path: str | os.PathLike) -> BertConfig:
    """The encoder's configuration in a checkpoint directory."""
    path = pathlib.Path(path)
    try:
        return BertConfig.from_dict(_read(path)["encoder"])
    except ValueError as error:
        raise DataError(f"{path / 'config.json'} is not a BERT configuration: {error}") from error


def encoder_of(checkpoint: Checkpoint) -> keras.Model:
    """A new encoder of the checkpoint's configuration with its weights, whatever heads it has."""
    encoder = build_encoder(checkpoint.config)
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


def _read(path: pathlib.Path) -> dict:
    file = path / "config.json"
    if not file.is_file():
        raise DataError(f"{path} must be a checkpoint directory; it has no config.json.")
    values = read_object(file)
    if values.get("format") == FORMAT and {"model", "encoder", "tokenizer"} <= set(values):
        return values
    raise DataError(f"{file} must be a kbert configuration of format {FORMAT}.")


def _read_task(file: pathlib.Path) -> Task:
    values = read_object(file) if file.is_file() else {}
    name = values.pop("name", None)
    if not isinstance(name, str) or name not in TASKS:
        raise DataError(f"{file} must name one of the tasks {sorted(TASKS)}. Received: {name!r}.")
    return TASKS[name].from_json(values)
