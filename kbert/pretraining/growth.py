"""A deeper model that begins as what a shallower one has learned (progressive stacking, Gong et al.
2019, proceedings.mlr.press/v97/gong19a).

The last blocks are repeated above themselves. A repeated block adds a small part of what it added
before, so that the deeper model knows at once nearly what the shallower one knew; copies that add
all of it begin some points lower.
"""

import dataclasses

import keras

from kbert.checkpoints.directory import has_pooler, untrained
from kbert.checkpoints.weights import model_weights
from kbert.config import BertConfig
from kbert.errors import DataError
from kbert.models import objective_of

# Of what the two sub-layers of a repeated block add. At 1 the deeper model predicts worse than the
# shallower one, at 0 the copies would have to find out again what they are for.
_ADDED_SHARE = 0.3
_ADDED = ("attention/output_projection/", "output/")


def deepened(
    model: keras.Model, config: BertConfig, num_layers: int
) -> tuple[keras.Model, BertConfig]:
    """A model of more blocks with a trained model's weights, and its configuration.

    Args:
        model: of Transformer blocks; of a task's only the encoder goes on.
        num_layers: of the new model, at least as many as the trained one has.

    Raises `DataError` for fewer blocks and for other architectures.
    """
    if config.architecture != "transformer":
        raise DataError(
            "Blocks can be repeated in a Transformer. Received: a model of the architecture "
            f"{config.architecture}."
        )
    depth = config.num_layers
    if num_layers < depth:
        raise DataError(
            f"A model of {depth} layers can go on with {depth} or more. Received: {num_layers}."
        )
    sources = sources_of(depth, num_layers)
    codes = config.norm_placement.split(",")
    if len(codes) > 1:  # One for each block.
        codes = [codes[source] for source in sources]
    config = dataclasses.replace(config, num_layers=num_layers, norm_placement=",".join(codes))
    deeper = untrained(config, objective_of(model), has_pooler(model))
    weights = model_weights(model)
    for name, weight in model_weights(deeper).items():
        block, _, rest = name.partition("/")
        if not block.startswith("block_"):
            weight.assign(weights[name])
            continue
        number = int(block.removeprefix("block_"))
        value = keras.ops.convert_to_numpy(weights[f"block_{sources[number]}/{rest}"])
        repeated = number >= depth and rest.startswith(_ADDED)
        weight.assign(value * _ADDED_SHARE if repeated else value)
    return deeper, config


def sources_of(depth: int, num_layers: int) -> list[int]:
    """Which block of a model each block of a deeper one is: 4 and 6 give 0, 1, 2, 3, 2, 3."""
    extra = num_layers - depth
    return [*range(depth), *((number - extra) % depth for number in range(extra))]
