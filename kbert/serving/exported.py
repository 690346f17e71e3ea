"""What an export of any form gives to who answers with it."""

import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from kbert.files import read_object
from kbert.inference.fill_mask import FillMask
from kbert.inference.forward import Forward
from kbert.serving.encoder_outputs import EncoderOutputs
from kbert.tasks import read_task

if TYPE_CHECKING:
    import keras  # Only what older versions exported needs it.


class Exported(NamedTuple):
    """An export, loaded.

    Attributes:
        task: that decodes what the model computes.
        model: what computes.
        tokenizer: that it was trained with.
        outputs: the names of what it answers on its own, without kbert.
    """

    task: Any
    model: "Forward | keras.Model"
    tokenizer: Any
    outputs: tuple[str, ...]


class Description(NamedTuple):
    """What the assets of an export say.

    Attributes:
        task: its task, or what stands in the place of one.
        tokenizer_options: of the vocabulary's tokenizer.
        is_encoder: whether no task is named: older versions exported encoders so.
    """

    task: Any
    tokenizer_options: Mapping[str, Any]
    is_encoder: bool


def read_description(folder: pathlib.Path) -> Description:
    """The files in a version's `assets`. Raises `DataError` for what does not fit."""
    settings = read_object(folder / "assets" / "config.json")
    longest = settings["encoder"]["max_sequence_length"]
    file = folder / "assets" / "task.json"
    if not file.is_file():
        return Description(EncoderOutputs(longest), settings["tokenizer"], True)
    task = read_task(file, longest, (EncoderOutputs, FillMask))
    return Description(task, settings["tokenizer"], False)
