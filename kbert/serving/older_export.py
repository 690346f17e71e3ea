"""What was exported without the signature `model_outputs`: the model, built again of its weights.

Such a graph gives decoded outputs only, of which no window can be joined and no path of a CRF
found. But the export holds every weight under its name, and its assets describe the model.
"""

import pathlib
from collections.abc import Mapping

import numpy as np

from kbert.config import BertConfig
from kbert.errors import DataError
from kbert.files import read_object
from kbert.tasks.base import Task
from kbert.tasks.heads.encoder_features import num_layers_below


def model_of(folder: pathlib.Path, weights: Mapping, task: Task | None):
    """The Keras model of an export, which here needs Keras.

    Args:
        folder: of the SavedModel, for its configuration and for messages.
        weights: its variables by name.

    Raises `DataError` where they are not those of the model that the assets describe.
    """
    from kbert.checkpoints.weights import check_size, model_weights
    from kbert.layers.dense import blank_weights
    from kbert.models import build_encoder

    config = BertConfig.from_dict(read_object(folder / "assets" / "config.json")["encoder"])
    found = {name: tuple(weight.shape) for name, weight in weights.items()}
    num_layers = num_layers_below(task and task.features, config.num_layers)
    check_size(folder, found.values(), config, num_layers)
    with blank_weights():
        encoder = build_encoder(config)
        model = encoder if task is None else task.build_model(encoder)
    own = model_weights(model)
    if found != {name: tuple(weight.shape) for name, weight in own.items()}:
        raise DataError(
            f"{folder} has other weights than its model has: export it again from its checkpoint."
        )
    for name, weight in own.items():
        weight.assign(np.asarray(weights[name]))
    return model
