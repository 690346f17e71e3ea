"""From features to answers: the model's outputs, decoded by the task, in the examples' order.

Features of like length are predicted together, so that little is computed for padding.
"""

import concurrent.futures
from collections.abc import Iterator, Sequence

import keras
import numpy as np
from tqdm import tqdm

from kbert.inference.batches import bucket_length, plan_by_length
from kbert.inference.forward import SHAPES_COST, compiled_forward
from kbert.tasks.base import Example, Task
from kbert.tasks.features import Feature, pad_batch

# Most tokens in a batch, padding included. More do not keep a processor busier: on two cores 2,048
# to 4,096 were fastest at every length, and 64 rows of 512 tokens took 1.3 times as long.
MOST_TOKENS = 4096


def predict_features(
    model: keras.Model,
    features: Sequence[Feature],
    batch_size: int,
    limit: int,
    progress: tqdm | None = None,
) -> list[dict[str, np.ndarray]]:
    """The model's outputs for each feature, without batch axis, in the features' order.

    A thread pads the next batch while the model computes one.

    Args:
        batch_size: features computed together, at most; fewer where they are long.
        limit: the longest sequence that the model may see.
        progress: counts the features that are done.
    """
    outputs: list = [None] * len(features)
    forward = compiled_forward(model)
    for numbers, batch in read_ahead(padded_batches(features, batch_size, limit)):
        predicted = forward(batch)
        for row, number in enumerate(numbers):
            outputs[number] = {name: values[row] for name, values in predicted.items()}
        if progress is not None:
            progress.update(len(numbers))
    return outputs


def padded_batches(
    features: Sequence[Feature], batch_size: int, limit: int
) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """The numbers of the features in a batch, and its inputs: batch by batch, longest first."""

    def rows_at(length: int) -> int:
        return max(1, min(batch_size, MOST_TOKENS // length))

    lengths = [feature.length for feature in features]
    if SHAPES_COST:
        lengths = [bucket_length(length, limit) for length in lengths]
    for numbers in plan_by_length(lengths, rows_at):
        length = lengths[numbers[0]]
        rows = rows_at(length) if SHAPES_COST else len(numbers)
        inputs, _, _ = pad_batch([features[number] for number in numbers], length, rows)
        yield numbers, inputs


def read_ahead(items: Iterator) -> Iterator:
    """The same items; a thread makes the next one while the caller is at work on one."""
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        ahead = thread.submit(next, items, None)
        while (item := ahead.result()) is not None:
            ahead = thread.submit(next, items, None)
            yield item


def answer_features(
    task: Task,
    model: keras.Model,
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
    return [
        task.decode(found, example, own)
        for example, (found, own) in zip(examples, parts, strict=True)
    ]


def answer_examples(
    task: Task,
    model: keras.Model,
    tokenizer,
    examples: Sequence[Example],
    batch_size: int,
    progress: tqdm | None = None,
) -> list[dict]:
    """The decoded answer to each example, in order."""
    features = task.encode(examples, tokenizer)
    return answer_features(task, model, features, examples, batch_size, progress)
