"""From features to answers: the model's outputs, decoded by the task, in the examples' order."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from kbert.inference.batches import padded_batches, read_ahead
from kbert.inference.forward import Forward, forward_of
from kbert.tasks.base import Example, Task
from kbert.tasks.features import Feature

if TYPE_CHECKING:
    import keras


def predict_features(
    model: "keras.Model | Forward",
    features: Sequence[Feature],
    batch_size: int,
    limit: int,
    progress: tqdm | None = None,
) -> list[dict[str, np.ndarray]]:
    """The model's outputs for each feature, without batch axis, in the features' order.

    A thread pads the next batch while the model computes one.

    Args:
        batch_size: texts computed together, at most; fewer where they are long.
        limit: the longest sequence that the model may see.
        progress: counts the features that are done.
    """
    outputs: list = [None] * len(features)
    forward = forward_of(model)
    batches = padded_batches(features, batch_size, limit, forward.compiles_shapes)
    # Nothing to read ahead of one text, and a thread takes two milliseconds to start.
    for numbers, batch in read_ahead(batches) if len(features) > 1 else batches:
        predicted = forward.run(batch)
        for row, number in enumerate(numbers):
            outputs[number] = {name: values[row] for name, values in predicted.items()}
        if progress is not None:
            progress.update(len(numbers))
    return outputs


def answer_features(
    task: Task,
    model: "keras.Model | Forward",
    features: Sequence[Feature],
    examples: Sequence[Example],
    batch_size: int,
    progress: tqdm | None = None,
) -> list[dict]:
    """The decoded answer to each example whose features these are, in the examples' order.

    `progress` counts examples; those of many features are as many, from here on.
    """
    if progress is not None and progress.total is not None:
        progress.total += len(features) - len(examples)
    outputs = predict_features(model, features, batch_size, task.sequence_length, progress)
    parts: list[tuple[list, list]] = [([], []) for _ in examples]
    for feature, output in zip(features, outputs, strict=True):
        parts[feature.example][0].append(output)
        parts[feature.example][1].append(feature)
    return task.decode_all(
        [(found, example, own) for example, (found, own) in zip(examples, parts, strict=True)]
    )
