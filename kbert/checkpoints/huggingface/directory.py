"""Hugging Face directories in and out, without PyTorch or transformers: BERT, and for rotary
positions RoFormer.

config.json                                  the architecture, a fine-tuned model's labels
model.safetensors, or shards with an index,  the weights
or pytorch_model.bin
vocab.txt or tokenizer.json                  the vocabulary
tokenizer_config.json                        the tokenizer's options
modules.json                                 of sentence-transformers: where these files are
"""

import contextlib
import dataclasses
import os
import pathlib
import warnings
from collections.abc import Iterator

import keras

from kbert.checkpoints.directory import POOLER, Checkpoint, untrained
from kbert.checkpoints.hubs import folder_of
from kbert.checkpoints.huggingface.config import config_fields, read_architecture
from kbert.checkpoints.huggingface.roformer import (
    bert_fields,
    bert_weights,
    check_tokenizer,
    class_of,
    is_roformer,
    roformer_fields,
    roformer_weights,
)
from kbert.checkpoints.huggingface.sentence_transformers import read_encoder
from kbert.checkpoints.huggingface.tasks import (
    ARCHITECTURES,
    architecture_of,
    in_units,
    places,
    read_task,
    task_fields,
    with_rows,
)
from kbert.checkpoints.huggingface.tokenizer import read_tokenizer, write_tokenizer
from kbert.checkpoints.huggingface.weights import (
    CONSTANTS,
    open_weights,
    plainly_named,
    without_copies,
)
from kbert.checkpoints.published_config import check_is_plain
from kbert.checkpoints.transfer import Place, arrays_of, fill, objective_in
from kbert.checkpoints.weight_names import all_names
from kbert.checkpoints.weights import check_size, in_dtype, write_arrays
from kbert.config import BertConfig
from kbert.errors import DataError
from kbert.files import read_object, write_json
from kbert.layers.dense import blank_weights
from kbert.models import BERT_OBJECTIVE, build_encoder, objective_of
from kbert.tasks.base import Task

ENCODER = "BertModel"
# What a model was pre-trained for -> its class in transformers.
_CLASSES = {None: ENCODER, BERT_OBJECTIVE: "BertForPreTraining", "masked-lm": "BertForMaskedLM"}
_PRETRAINED = (*_CLASSES.values(), "BertForNextSentencePrediction")


def from_huggingface(
    path: str | os.PathLike, allow_missing_heads: bool = False, second_column: str | None = None
) -> Checkpoint:
    """Read a BERT that transformers wrote: an encoder, one with pre-training heads, or a
    fine-tuned model with its labels.

    Args:
        path: a folder, or hf:OWNER/NAME[@REVISION].
        allow_missing_heads: initialise a head that the file lacks anew, with a warning that names
            it.
        second_column: of a classifier that takes pairs, which the folder does not say: what the
            second text's column is called.

    Raises `DataError` for a model that is not BERT, and for weights that are missing, extra,
    wrongly shaped, NaN or of a damaged file, each by name.
    """
    path, _, lowercase = read_encoder(folder_of(path))
    file = path / "config.json"
    fields = read_object(file)
    is_rotary, position = is_roformer(fields), "learned"
    if is_rotary:
        fields, position = bert_fields(file, fields), "rotary"
        check_tokenizer(path)
    config, architecture = read_architecture(file, fields, position)
    source = plainly_named(open_weights(path))
    source = without_copies(bert_weights(source, config) if is_rotary else source)
    check_size(source.path, source.shapes.values(), config)
    if architecture not in (*_PRETRAINED, *ARCHITECTURES):
        raise DataError(
            f"{file} must name one of {(*_PRETRAINED, *ARCHITECTURES)}. Received: {architecture}."
        )
    task, wanted = None, list(_places(config, architecture))
    # A head that is not in the file begins as a new one.
    with contextlib.nullcontext() if allow_missing_heads else blank_weights():
        if architecture in ARCHITECTURES:
            task, rows = read_task(
                path / "config.json",
                fields,
                architecture,
                config.max_sequence_length,
                second_column,
            )
            source = with_rows(source, architecture, rows)
            model = task.build_model(build_encoder(config))
        else:
            masked_lm = architecture == _CLASSES["masked-lm"]
            objective = objective_in(source, wanted, allow_missing_heads, masked_lm)
            # No encoder of RoFormer has a pooler, and not every one of BERT.
            pooler = any(p.weight.startswith(POOLER) and p.name in source.shapes for p in wanted)
            model = untrained(config, objective, pooler)
    absent = fill(model, wanted, source, CONSTANTS, allow_missing_heads)
    if absent:
        warnings.warn(f"{path} has no {', '.join(absent)}: newly initialised.", stacklevel=2)
    tokenizer = read_tokenizer(path, config, lowercase)
    return Checkpoint(model, tokenizer, config, task)


def to_huggingface(path: str | os.PathLike, checkpoint: Checkpoint, dtype: str = "float32") -> None:
    """Write a directory that transformers loads; `dtype` is "float32" or "float16".

    Raises `DataError` for a task whose model transformers does not have, and for a variant of the
    encoder that neither its BERT nor its RoFormer is.
    """
    path = pathlib.Path(path)
    model, tokenizer, config, task = checkpoint
    is_rotary = config.position == "rotary"
    plain = dataclasses.replace(config, position="learned") if is_rotary else config
    check_is_plain(plain, "Hugging Face's format")
    architecture = _architecture(model, task)
    if is_rotary:
        architecture = class_of(architecture)
    arrays = in_units(task, arrays_of(model, _places(config, architecture)))
    fields = config_fields(config, architecture, dtype)
    if is_rotary:
        arrays = roformer_weights(arrays, architecture, config)
        fields = roformer_fields(fields)
    prefix = f"{fields['model_type']}." if architecture == ENCODER else ""
    arrays = {name.removeprefix(prefix): a for name, a in in_dtype(arrays, dtype).items()}
    path.mkdir(parents=True, exist_ok=True)
    write_json(path / "config.json", fields if task is None else fields | task_fields(task))
    write_tokenizer(path, tokenizer, config)
    # transformers refuses a file that does not say which framework it was written for.
    write_arrays(path / "model.safetensors", arrays, {"format": "pt"})


def _places(config: BertConfig, architecture: str) -> Iterator[Place]:
    """Kernels are (output, input) in PyTorch."""
    for names in all_names(config):
        transposed = names.ours.endswith("/kernel")
        yield Place(names.huggingface, names.ours, names.third, transposed)
    yield from places(architecture)


def _architecture(model: keras.Model, task: Task | None) -> str:
    if task is not None:
        return architecture_of(task)
    objective = objective_of(model)
    if objective not in _CLASSES:
        raise DataError(
            f"transformers has no BERT for the objective {objective}: convert the encoder alone."
        )
    return _CLASSES[objective]
