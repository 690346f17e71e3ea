"""What fine-tuning does to layers one by one: draw them again, freeze them, slow them down.

An encoder has the layers "embedding", "block_0" ... from below and "pooler", as `kbert.models`
names them; what a task puts on it is none of theirs.
"""

import keras

from kbert.config import BertConfig
from kbert.errors import DataError
from kbert.finetuning.settings import FinetuningSettings
from kbert.models import blocks, build_encoder


def check_layers(config: BertConfig, settings: FinetuningSettings) -> None:
    """Raises DataError for more layers than there are, and for frozen ones drawn at random."""
    drawn, frozen = settings.reinitialize or 0, settings.freeze_layers
    if drawn + frozen > config.num_layers:
        raise DataError(
            f"The encoder has {config.num_layers} layers. "
            f"Received: {drawn} to draw again and {frozen} to freeze."
        )


def reinitialize(encoder: keras.Model, config: BertConfig, top: int) -> None:
    """New draws for the pooler and the `top` blocks, as before pre-training (arXiv 2006.05987).

    What pre-training put there is of use to pre-training, less so to other tasks.
    """
    fresh = build_encoder(config)
    first = config.num_layers - top
    for name in ("pooler", *(f"block_{i}" for i in range(first, config.num_layers))):
        encoder.get_layer(name).set_weights(fresh.get_layer(name).get_weights())


def freeze(encoder: keras.Model, embeddings: bool, lowest: int) -> None:
    """Let the embeddings and the `lowest` blocks stay as they are (arXiv 1911.03090).

    No gradient passes through what is frozen, so a step costs less. Without the embeddings no block
    is frozen.
    """
    if embeddings or lowest:
        for layer in _lowest(encoder):
            layer.trainable = False
    for index in range(lowest):
        encoder.get_layer(f"block_{index}").trainable = False


def rate_factors(encoder: keras.Model, decay: float) -> dict[str, float]:
    """What each weight's learning rate is multiplied by: path -> factor.

    Pooler and output layer have the full rate, the top block `decay` of it, each lower one `decay`
    of the one above, the embeddings as if they were the block below the lowest: as in the code of
    arXiv 2006.05987; the idea is that of ULMFiT (arXiv 1801.06146, section 3.2), whose factor is
    1 / 2.6.
    """
    if decay == 1:
        return {}
    return {path: decay**depth for path, depth in _depths(encoder).items()}


def first_steps(encoder: keras.Model, every: float | None, steps_per_epoch: int) -> dict[str, int]:
    """From which step on each weight moves, where layers are unfrozen one by one: path -> step.

    Pooler and output layer move from the first step on, the top block after `every` epochs, each
    lower one so many after the one above, the embeddings last (arXiv 1801.06146, section 3.3).
    """
    if every is None:
        return {}
    return {path: round(every * d * steps_per_epoch) for path, d in _depths(encoder).items()}


def never_moved(
    encoder: keras.Model, every: float | None, steps_per_epoch: int, num_steps: int
) -> list[str]:
    """Layers, from above, whose turn comes after the last step."""
    late = first_steps(encoder, every, steps_per_epoch)
    return [
        layer.name
        for layer in reversed([*_lowest(encoder), *blocks(encoder)])
        if any(late.get(weight.path, 0) >= num_steps for weight in layer.trainable_weights)
    ]


def _depths(encoder):
    """How far below the output layer each weight stands, 1 in the top block: path -> depth."""
    groups = [[block] for block in reversed(blocks(encoder))] + [_lowest(encoder)]
    return {
        weight.path: depth
        for depth, layers in enumerate(groups, 1)
        for layer in layers
        for weight in layer.weights
    }


def _lowest(encoder):
    """The layers below the blocks; one for positions only where every block is told them anew."""
    return [layer for layer in encoder.layers if layer.name in ("embedding", "position")]
