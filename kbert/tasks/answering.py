"""From features to answers: the model's outputs, decoded by the task, in the examples' order.

Features of one padded length are predicted together, so that little is computed for padding.
"""

from collections.abc import Sequence

import keras
import numpy as np

from kbert.data.examples import Feature, group_by_length, pad_batch
from kbert.tasks.base import Example, Task


def predict_features(
    model: keras.Model, features: Sequence[Feature], batch_size: int, limit: int
) -> list[dict[str, np.ndarray]]:
    """The model's outputs for each feature, without batch axis, in the features' order.

    Args:
        limit: the longest sequence that the model may see.
    """
    if keras.backend.backend() == "tensorflow":
        # Keras would compile with XLA, once for each shape: seconds for a few milliseconds' work.
        model.jit_compile = False
    outputs: list = [None] * len(features)
    for length, numbers in group_by_length(features, limit).items():
        inputs, _, _ = pad_batch([features[i] for i in numbers], length, len(numbers))
        # One call a length: `predict` takes 50 ms before it starts.
        predicted = model.predict(inputs, batch_size=batch_size, verbose=0)
        for row, number in enumerate(numbers):
            outputs[number] = {name: values[row] for name, values in predicted.items()}
    return outputs


def answer_features(
    task: Task,
    model: keras.Model,
    features: Sequence[Feature],
    examples: Sequence[Example],
    batch_size: int,
) -> list[dict]:
    """The decoded answer to each example whose features these are, in the examples' order."""
    outputs = predict_features(model, features, batch_size, task.sequence_length)
    parts: list[tuple[list, list]] = [([], []) for _ in examples]
    for feature, output in zip(features, outputs, strict=True):
        parts[feature.example][0].append(output)
        parts[feature.example][1].append(feature)
    return [
        task.decode(found, example, own)
        for example, (found, own) in zip(examples, parts, strict=True)
    ]


def answer_examples(
    task: Task, model: keras.Model, tokenizer, examples: Sequence[Example], batch_size: int
) -> list[dict]:
    """The decoded answer to each example, in order."""
    features = task.encode(examples, tokenizer)
    return answer_features(task, model, features, examples, batch_size)
