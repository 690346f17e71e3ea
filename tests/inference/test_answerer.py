"""Answers: in the order of the examples, whole for windows, and as soon as lines arrive."""

import io
import os
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from kbert.errors import DataError
from kbert.inference import answerer as answerers
from kbert.inference.answerer import Answerer
from kbert.inference.answering import answer_features
from kbert.inference.lines import arriving_lines
from kbert.tasks.features import Feature
from kbert.tasks.readers.bad_rows import BadRows


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


def test_long_lists_are_answered_in_pieces(answerer, monkeypatch):
    monkeypatch.setattr(answerers, "AT_ONCE", 2)
    answers = answerer.answer_in_pieces([[1], [2], [3, 4, 5, 6], [7], [8]])
    assert next(answers) == {"sum": 1}
    assert [found["sum"] for found in answers] == [2, 18, 7, 8]


def test_instances(answerer):
    assert answerer.predict(["1 2", "3"]) == [{"sum": 3}, {"sum": 3}]
    assert answerer.predict([]) == []
    with pytest.raises(DataError, match="^Instance 1: expected numbers"):
        answerer.predict(["1", "x"])
    for wrong in ("a text", None, {"text": "a"}, 3):
        with pytest.raises(DataError, match="Expected a list of instances"):
            answerer.predict(wrong)


def lines_of(answerer, content, skip=False):
    return list(answerer.answer_lines(io.BytesIO(content), "input", BadRows(skip)))


def test_lines_of_a_stream(answerer):
    answers = lines_of(answerer, b"\xef\xbb\xbf1 2\r\n3\n4 5 6 7")
    assert [found["sum"] for found in answers] == [3, 3, 22]
    assert lines_of(answerer, b"") == []


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"1\nx\n2\n", "input, line 2: expected numbers"), (b"1\n\xff\n2", "line 2: expected UTF-8")],
)
def test_lines_that_do_not_fit_are_named(answerer, content, expected):
    with pytest.raises(DataError, match=expected):
        lines_of(answerer, content)
    first, bad, last = lines_of(answerer, content, skip=True)
    assert (first, last) == ({"sum": 1}, {"sum": 2})
    assert expected in bad["error"]


def test_a_pipe_is_answered_line_by_line():
    source, sink = os.pipe()
    with open(source, "rb") as stream, open(sink, "wb", buffering=0) as writer:
        lines = arriving_lines(stream, most=10)
        for line in (b"one\n", b"two\n"):
            writer.write(line)
            assert next(lines) == [line[:-1]]
        writer.write(b"half")
        writer.close()
        assert list(lines) == [[b"half"]]


def test_a_file_comes_in_the_same_pieces_every_time(tmp_path):
    lines = [f"{i} {'x' * (i % 300)}".encode() for i in range(5000)]
    (tmp_path / "lines.txt").write_bytes(b"\n".join(lines))
    found = []
    for _ in range(3):
        with open(tmp_path / "lines.txt", "rb") as file:
            found.append(list(arriving_lines(file, most=64)))
    assert found[0] == found[1] == found[2]
    assert [line for piece in found[0] for line in piece] == lines
    assert max(map(len, found[0])) <= 64
