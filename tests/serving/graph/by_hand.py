"""A model without Keras, and a graph's answers beside those of `Task.decode`."""

import numpy as np
import pytest
import tensorflow as tf

from kbert import WordPieceTokenizer
from kbert.inference.answerer import Answerer
from kbert.inference.forward import Forward
from kbert.serving.graph import graph_of
from tests.serving.conftest import VOCABULARY
from tests.serving.string_answers import answers_of, columns_of, plain

LONG = "the film was good and we saw it. " * 9
TEXTS = [
    "the film was good and we saw it",
    "",
    "今天天气很好, we saw the Élan",
    LONG,
    "x",
    " e\u0301\u0302 lan!\u0301 \u200b",
    "今天" * 40,
]


def waves(ids, width):
    """Numbers (batch, sequence, width) that depend on each token and its neighbours."""
    tokens = tf.cast(ids, tf.float32)
    tokens += 0.3 * tf.cumsum(tf.cast(ids, tf.float32), axis=1) % 7.0
    return 3.0 * tf.sin(tokens[:, :, None] * tf.range(1.0, width + 1))


def check(task, forward, instances, **options):
    """That the graph answers instances as `Task.decode` does, and none with none."""
    tokenizer = WordPieceTokenizer(VOCABULARY, **options)

    def run(inputs):
        return {name: value.numpy() for name, value in forward(inputs).items()}

    expected = Answerer(task, tokenizer, Forward(run)).predict(instances)
    graph = graph_of(task, tokenizer, forward)
    columns = columns_of(task, instances)
    assert list(columns) == list(graph.string_shapes)
    outputs = graph.answer(**{name: tf.constant(column) for name, column in columns.items()})
    found = answers_of(
        task, {name: plain(value.numpy()) for name, value in outputs.items()}, instances
    )
    assert rounded(found) == rounded(expected)
    none = graph.answer(**{name: tf.zeros([0], tf.string) for name in columns})
    assert {name: value.shape[0] for name, value in none.items()} == dict.fromkeys(outputs, 0)
    assert {name: value.dtype for name, value in none.items()} == {
        name: value.dtype for name, value in outputs.items()
    }
    assert {value.dtype for value in none.values()} <= {tf.string, tf.int32, tf.float32}
    return expected


def rounded(value):
    """For comparing answers: numbers as they are in float32."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return list(map(rounded, value))
    if isinstance(value, float | np.floating):
        return pytest.approx(value, rel=1e-5, abs=1e-6)
    return value
