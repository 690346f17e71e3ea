"""An ensemble: several fine-tuned models of one task, in a folder that is read as one model.

ensemble.json       {"members": [the folders of the members]}
member_0/ ...       kbert's checkpoints

Its outputs are such that its probabilities are the mean of its members'. So it is evaluated, served
and exported as any other model; where a task is tuned (a threshold), it is as the first member's.
"""

import os
import pathlib
from collections.abc import Sequence

import keras

from kbert.checkpoints.directory import Checkpoint, load, save
from kbert.checkpoints.formats import ENSEMBLE_INDEX, load_finetuned
from kbert.checkpoints.hubs import write_source
from kbert.errors import DataError
from kbert.files import check_folder_new, current, locked, read_object, replacing_folder, write_json
from kbert.layers.averaging import MeanOfOutputs


def write_ensemble(output: str | os.PathLike, paths: Sequence[str | os.PathLike]) -> Checkpoint:
    """Write a folder with copies of fine-tuned models of any format; returns what it is read as.

    Raises `DataError` for an output that holds something, and for models that have no mean.
    """
    output = pathlib.Path(output)
    check_folder_new(output)
    places = [os.path.realpath(path) for path in paths]
    if len(set(places)) < max(2, len(paths)):
        raise DataError(f"An ensemble has two different models at least. Received: {paths}.")
    members = [load_finetuned(path) for path in paths]
    ensemble = _ensemble(members, [str(path) for path in paths])
    with locked(output), replacing_folder(output) as folder:
        names = [f"member_{number}" for number in range(len(members))]
        for name, member, path in zip(names, members, paths, strict=True):
            save(folder / name, member)
            write_source(folder / name, path)
        write_json(folder / ENSEMBLE_INDEX, {"members": names})
    return ensemble


def load_ensemble(path: str | os.PathLike) -> Checkpoint:
    """Read what `write_ensemble` wrote. Raises `DataError` naming what does not fit."""
    index = current(path, ENSEMBLE_INDEX)
    names = read_object(index).get("members")
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise DataError(f"{index} must name the folders of its members. Received: {names!r}.")
    folders = [pathlib.Path(path, name) for name in names]
    return _ensemble([load(folder) for folder in folders], [str(folder) for folder in folders])


def is_ensemble(model: keras.Model) -> bool:
    """Whether a model's outputs are the mean of several models'."""
    return any(isinstance(layer, MeanOfOutputs) for layer in model.layers)


def _ensemble(members: Sequence[Checkpoint], names: Sequence[str]) -> Checkpoint:
    first, *others = members
    links = first.task.links
    if not links:
        raise DataError(f"The answers of these {first.task.name} models have no mean.")
    for name, member in zip(names[1:], others, strict=True):
        _check(first, names[0], member, name)
    inputs = first.model.input
    # Members are layers here, which must differ in name.
    models = [
        keras.Model(member.model.input, member.model.output, name=f"member_{number}")
        for number, member in enumerate(members)
    ]
    found = [model(inputs) for model in models]
    outputs = {
        output: MeanOfOutputs(link, name=f"mean_{output}")([each[output] for each in found])
        for output, link in links.items()
    }
    return first._replace(model=keras.Model(inputs, outputs, name="ensemble"))


def _check(first: Checkpoint, first_name: str, member: Checkpoint, name: str) -> None:
    """Raise `DataError` for a member that reads or answers otherwise than the first."""
    task, own = first.task, member.task
    if own.name != task.name:
        raise DataError(f"{name} answers {own.name}, {first_name} {task.name}: there is no mean.")
    for field in ("sequence_length", *task.output_settings):
        if getattr(own, field) != getattr(task, field):
            raise DataError(
                f"{name} and {first_name} must have the same {field}. "
                f"Received: {getattr(own, field)} and {getattr(task, field)}."
            )
    if own.links != task.links:
        raise DataError(f"{name} and {first_name} must both have no CRF.")
    tokenizers = (first.tokenizer, member.tokenizer)
    if len({(tuple(each.vocabulary), str(each.options)) for each in tokenizers}) > 1:
        raise DataError(f"{name} and {first_name} must read text with the same vocabulary.")
