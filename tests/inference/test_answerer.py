"""Answers: in the order of the examples, whole for windows."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from kbert.errors import DataError
from kbert.inference.answerer import Answerer
from kbert.inference.answering import answer_features
from kbert.tasks.base import Task
from kbert.tasks.features import Feature


class SumTask:
    """Words are numbers; the answer is their sum. Each window of three is a feature."""

    name = "sum"
    sequence_length = 40

    def parse(self, instance, where):
        try:
            return [int(word) for word in instance.split()]
        except ValueError as error:
            raise DataError(f"{where}: expected numbers.") from error

    def encode(self, examples, tokenizer):
        return [
            Feature({"token_ids": np.asarray(numbers[i : i + 3], "int32")}, example, {}, {})
            for example, numbers in enumerate(examples)
            for i in range(0, len(numbers), 3)
        ]

    decode_all = Task.decode_all

    def decode(self, outputs, example, features=()):
        assert len(outputs) == len(features) == -(-len(example) // 3)
        return {"sum": sum(float(output["sum"]) for output in outputs)}


@pytest.fixture(scope="module")
def checkpoint():
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    total = keras.ops.sum(token_ids, axis=1)
    model = keras.Model({"token_ids": token_ids}, {"sum": total})
    return SimpleNamespace(model=model, tokenizer=None, task=SumTask())


@pytest.fixture(scope="module")
def answerer(checkpoint):
    return Answerer(checkpoint.task, None, checkpoint.model, batch_size=4)


def test_windows_and_lengths_come_back_in_order(checkpoint):
    rng = np.random.default_rng(0)
    examples = [rng.integers(1, 50, rng.integers(1, 40)).tolist() for _ in range(50)]
    task = checkpoint.task
    features = task.encode(examples, None)
    # A feature of its own length for each example too, so that lengths are mixed.
    features += [Feature({"token_ids": np.ones(n, "int32")}, 0, {}, {}) for n in (40, 1)]
    task.decode = lambda outputs, example, features: sum(int(o["sum"]) for o in outputs)
    try:
        answers = answer_features(task, checkpoint.model, features, examples, batch_size=7)
    finally:
        del task.decode
    assert answers[1:] == [sum(numbers) for numbers in examples[1:]]
    assert answers[0] == sum(examples[0]) + 41


def test_instances(answerer):
    assert answerer.predict(["1 2", "3"]) == [{"sum": 3}, {"sum": 3}]
    assert answerer.predict([]) == []
    with pytest.raises(DataError, match="^Instance 1: expected numbers"):
        answerer.predict(["1", "x"])
    for wrong in ("a text", None, {"text": "a"}, 3):
        with pytest.raises(DataError, match="Expected a list of instances"):
            answerer.predict(wrong)
