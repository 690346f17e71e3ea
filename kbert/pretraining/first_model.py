"""The model that a run begins with: a new one of a published size, or one that is trained."""

import dataclasses
import os
from typing import TYPE_CHECKING

from kbert.checkpoints.formats import load_any
from kbert.config import BertConfig
from kbert.corpus.store import TokenStore
from kbert.engine.backend import engine
from kbert.errors import DataError
from kbert.model_settings import NewModel
from kbert.pretraining.growth import deepened

if TYPE_CHECKING:
    import keras


def first_model(
    store: TokenStore,
    new: NewModel,
    start: str | os.PathLike | None = None,
    direction: str | None = None,
    **sizes,
) -> "tuple[BertConfig, keras.Model | None]":
    """The configuration of the model, and the trained model of the checkpoint `start`, if any.

    `direction` is what an objective needs; None for nothing. `sizes` are fields in which a new
    model's BertConfig is not the preset's. A trained model gets the blocks that `new` has beyond
    its own (`deepened`).

    Raises `DataError` for a checkpoint of another vocabulary, and for what no model can be.
    """
    new = new.directed(direction)
    if start is None:
        return new.config(len(store.vocabulary), **sizes), None
    engine().devices()  # Before anything is computed.
    model, tokenizer, config, _ = load_any(start)
    store.check_reading(start, tokenizer.vocabulary, tokenizer.options)
    _tell_of_direction(start, config.direction, direction)
    if new.num_layers is not None:
        model, config = deepened(model, config, new.num_layers)
    return trained_further(config, new, direction), model


def trained_further(config: BertConfig, new: NewModel, direction: str | None) -> BertConfig:
    """The configuration of a trained model in a run that goes on with it, with `new`'s dropout.

    Raises `DataError` for a direction that its architecture has not.
    """
    changes = {"dropout": new.dropout, "attention_dropout": new.dropout}
    if direction is not None:
        changes["direction"] = direction
    try:
        return dataclasses.replace(config, **changes)
    except ValueError as error:
        raise DataError(str(error)) from error


def _tell_of_direction(start: str | os.PathLike, has: str, needed: str | None) -> None:
    """Print what becomes of an encoder that the objective before let see otherwise."""
    if needed is None and has == "left":
        print(
            f"{start} sees to the left only, and so will this model: a masked piece is guessed "
            "from what stands before it."
        )
    elif needed is not None and needed != has:
        print(f"{start} has learned with the direction {has}; from now on it is {needed}.")
