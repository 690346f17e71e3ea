"""What the graphs of all tasks share."""

import abc
from collections.abc import Callable
from typing import Any

import tensorflow as tf

Tensors = dict[str, tf.Tensor]


class Graph(abc.ABC):
    """One task in TensorFlow operations: strings in, the answers of `Task.decode` out.

    Zero rows are answered with zero rows. Where rows have different numbers of something, they are
    padded: strings with "", places with -1, numbers with 0.

    Args: as `graph_of`'s.

    Attributes:
        string_shapes: the arguments of `answer` and their shapes.
    """

    string_shapes: dict[str, list[None]]

    def __init__(self, task: Any, tokenizer: Any, forward: Callable[[Tensors], Tensors]):
        self.task = task
        self.tokenizer = tokenizer
        self.forward = forward
        names = ("text", "second") if task.takes_pairs else ("text",)
        self.string_shapes = {name: [None] for name in names}

    @abc.abstractmethod
    def answer(self, **strings: tf.Tensor) -> Tensors:
        """The answers to strings, of `string_shapes`, each with the batch as first axis."""


class OutputsGraph(Graph):
    """A task whose answer follows from the model's outputs alone, and so from token ids too."""

    def answer(self, **strings: tf.Tensor) -> Tensors:
        return self.answer_ids(self.inputs(**strings))

    def answer_ids(self, inputs: Tensors) -> Tensors:
        """The answers to the model's inputs: unless a task says otherwise, its decoded outputs."""
        return self.decode(self.forward(inputs))

    def inputs(self, text: tf.Tensor, second: tf.Tensor | None = None) -> Tensors:
        """The model's inputs."""
        return self.tokenizer(text, second, sequence_length=self.task.sequence_length)

    def decode(self, outputs: Tensors) -> Tensors:
        """The answers in the model's outputs."""
        return outputs


def float64(outputs: Tensors, name: str) -> tf.Tensor:
    """An output as `Task.decode` computes with it."""
    return tf.cast(outputs[name], tf.float64)


def float32(answers: Tensors) -> Tensors:
    """Answers as they are given: float64 becomes float32."""
    return {
        name: tf.cast(value, tf.float32) if value.dtype == tf.float64 else value
        for name, value in answers.items()
    }
