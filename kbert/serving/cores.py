"""How a server divides its cores: each batch on a core of its own, or all cores for every batch.

A batch of a small model computes faster on one core than on several, which would wait for each
other at every operation; other batches take the other cores. A large model's batch is divided.
"""

import dataclasses
import pathlib
from collections.abc import Iterable

from kbert.files import read_object
from kbert.serving.settings import ServerSettings
from kbert.serving.versions import is_onnx, newest_version
from kbert.tensorflow_start import import_session

# Weights in the encoder's layers. A text of 40 tokens takes two operations a weight and token:
# 1.3 billion, or some 15 milliseconds of one core.
_LARGE = 16_000_000


def divide_cores(
    settings: ServerSettings, folders: Iterable[pathlib.Path], cores: int
) -> ServerSettings:
    """The settings with `threads_per_batch` and `batches_at_once`, where they do not say them.

    Args:
        folders: of the models.
        cores: that there are to use.

    Raises `DataError` for a folder that is no export.
    """
    large = any(_layer_weights(folder) > _LARGE for folder in folders)
    threads = settings.threads_per_batch or (cores if large else 1)
    # Two at least: one is tokenized and decoded while the other is computed.
    batches = settings.batches_at_once or (1 if cores == 1 else max(2, cores // threads))
    return dataclasses.replace(settings, threads_per_batch=threads, batches_at_once=batches)


def limit_threads(settings: ServerSettings, folders: Iterable[pathlib.Path]) -> None:
    """Tell TensorFlow how many threads an operation may take: before its first operation.

    ONNX Runtime is told for each model; where there is nothing else TensorFlow is not needed.
    """
    if all(map(is_onnx, folders)):
        return
    import_session()
    from tensorflow.python.eager.context import context

    context().intra_op_parallelism_threads = settings.threads_per_batch


def _layer_weights(folder: pathlib.Path) -> int:
    path = newest_version(folder) / "assets" / "config.json"
    encoder = read_object(path)["encoder"]
    hidden, intermediate = encoder["hidden_dim"], encoder["intermediate_dim"]
    return encoder["num_layers"] * hidden * (4 * hidden + 2 * intermediate)
