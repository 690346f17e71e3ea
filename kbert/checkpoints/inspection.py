"""How many parameters a BERT has, layer by layer: by the usual formula and exactly.

The counts come from a configuration, or from the shapes of a checkpoint's weights; for kbert's no
model is built.
"""

import math
import os
import pathlib
from collections.abc import Mapping
from typing import NamedTuple

import keras
import numpy as np

from kbert.checkpoints.directory import (
    checked,
    load_config,
    load_objective,
    load_options,
    load_task,
)
from kbert.checkpoints.formats import format_of, load_any
from kbert.checkpoints.hubs import folder_of, read_source
from kbert.checkpoints.weights import map_array, model_weights, stored_shapes
from kbert.config import BertConfig
from kbert.errors import DataError
from kbert.files import current, read_object
from kbert.models import objective_of
from kbert.tasks.base import Task
from kbert.tasks.heads.encoder_features import num_layers_below


class LayerCount(NamedTuple):
    """The parameters of one layer; `formula` is None where the formula has no part for it."""

    layer: str
    formula: int | None
    exact: int


class Inspection(NamedTuple):
    """What a checkpoint says of itself. `settings` are the parts of its JSON files by title."""

    config: BertConfig
    settings: dict[str, Mapping]
    layers: list[LayerCount]


def inspect_checkpoint(path: str | os.PathLike) -> Inspection:
    """Read a folder with a BERT: kbert's without building its model, others through it.

    Raises `DataError` for what is no checkpoint.
    """
    path = folder_of(path)
    if format_of(path) != "kbert":
        model, tokenizer, config, task = load_any(path)
        settings = {"tokenizer": tokenizer.options}
        if task is not None:
            settings["task"] = {"name": task.name, **task.to_json()}
        elif (objective := objective_of(model)) is not None:
            settings["pre-training"] = {"objective": objective}
        shapes = {name: tuple(weight.shape) for name, weight in model_weights(model).items()}
        return Inspection(config, settings, _count(config, shapes, path, task))
    config = load_config(path)
    settings = {"tokenizer": load_options(path).arguments()}
    if source := read_source(path):
        settings["source"] = source
    if (objective := load_objective(path)) is not None:
        settings["pre-training"] = {"objective": objective}
    if (task := load_task(path)) is not None:
        settings["task"] = read_object(checked(path, "task.json"))
    # Not `checked`: for the shapes alone the weights need not be read.
    file = current(path, "model.safetensors")
    if not file.is_file():
        raise DataError(f"{file} is not there: the checkpoint is not whole.")
    return Inspection(config, settings, _count(config, stored_shapes(file), file, task))


def read_weights(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The weights of a folder with a BERT by name, kbert's mapped into memory.

    Raises `DataError` for what is no checkpoint, and for kbert's that is not what was written.
    """
    path = folder_of(path)
    if format_of(path) != "kbert":
        weights = model_weights(load_any(path).model)
        return {name: keras.ops.convert_to_numpy(weight) for name, weight in weights.items()}
    file = checked(path, "model.safetensors")
    return {name: map_array(file, name) for name in stored_shapes(file)}


def _count(
    config: BertConfig,
    shapes: Mapping[str, tuple[int, ...]],
    where: pathlib.Path,
    task: Task | None,
) -> list[LayerCount]:
    """The layers of weights of these shapes: embedding, blocks, pooler, heads."""
    exact: dict[str, int] = {}
    for name, shape in shapes.items():
        layer = name.split("/")[0]
        exact[layer] = exact.get(layer, 0) + math.prod(shape)
    # Some tasks have no use for the pooler, and some none for the last layers.
    num_layers = num_layers_below(task and task.features, config.num_layers)
    unused = {"pooler", *(f"block_{n}" for n in range(num_layers, config.num_layers))}
    encoder = [name for name in config.exact_parts() if name not in unused]
    missing = sorted(set(encoder) - set(exact))
    if missing:
        raise DataError(f"{where} has no weights of {', '.join(missing)}.")
    heads = sorted(set(exact) - set(encoder), key=lambda name: (name != "pooler", name))
    return _with_formula(config, {layer: exact[layer] for layer in [*encoder, *heads]})


def count_encoder(config: BertConfig) -> list[LayerCount]:
    """The layers of an encoder with its pooler; in sum `config.num_parameters()`."""
    return _with_formula(config, config.exact_parts())


def _with_formula(config: BertConfig, exact: Mapping[str, int]) -> list[LayerCount]:
    """Beside each exact count its share of V x H + 12 L H^2 (`parameters_by_formula`), which is of
    Transformers."""
    formulas = config.formula_parts() if config.architecture == "transformer" else {}
    return [LayerCount(layer, formulas.get(layer), size) for layer, size in exact.items()]


def format_counts(config: BertConfig, layers: list[LayerCount]) -> str:
    """The counts as a table for a person, with the encoder's sums and the sum of all."""
    encoder = set(config.exact_parts())
    by_formula = None
    if config.architecture == "transformer":
        by_formula = config.parameters_by_formula()
    exact = sum(count.exact for count in layers if count.layer in encoder)
    everything = sum(count.exact for count in layers)
    rows = [("layer", "formula", "exact")]
    rows += [(count.layer, _number(count.formula), _number(count.exact)) for count in layers]
    rows.append(("encoder", _number(by_formula), _number(exact)))
    if everything != exact:
        rows.append(("with heads", "", _number(everything)))
    width = max(len(name) for name, _, _ in rows)
    lines = [f"{name:<{width}}  {left:>15}  {right:>15}".rstrip() for name, left, right in rows]
    if by_formula is not None:
        sizes = f"{config.vocabulary_size:,} x {config.hidden_dim:,} + 12 x {config.num_layers} x "
        more = 100 * (by_formula / exact - 1)
        lines.append(
            f"formula: {sizes}{config.hidden_dim:,}^2, {more:+.1f} % beside the exact count"
        )
    return "\n".join(lines)


def _number(count: int | None) -> str:
    return "" if count is None else f"{count:,}"
