"""Classification, regression and multi-label classification in a graph."""

from types import SimpleNamespace

import pytest
import tensorflow as tf

from kbert import ClassificationTask, MultiLabelTask, RegressionTask
from kbert.errors import DataError
from kbert.serving.graph import graph_of
from tests.serving.graph.by_hand import LONG, TEXTS, check, waves

ONE = [{"text": text} for text in TEXTS]
TWO = [{"text": text, "second": second} for text in TEXTS for second in ("", LONG, "we saw it")]
PAIRS = {"second_column": "second", "sequence_length": 12}


def test_a_task_without_a_graph_is_named():
    with pytest.raises(DataError, match="A SavedModel of poetry needs a graph that answers it"):
        graph_of(SimpleNamespace(name="poetry"), None, None)


@pytest.mark.parametrize(
    ("task", "instances"),
    [
        (ClassificationTask(labels=("b", "a", "中"), sequence_length=9), ONE),
        (ClassificationTask(labels=("no", "yes"), **PAIRS), TWO),
        (RegressionTask(mean=3.0, deviation=2.5, sequence_length=9), ONE),
        (MultiLabelTask(labels=("b", "a", "中"), threshold=0.3, sequence_length=9), ONE),
        (MultiLabelTask(labels=("x", "y", "z", "w"), threshold=0.9, **PAIRS), TWO),
    ],
)
def test_every_option(task, instances):
    name, size = ("value", 1) if task.name == "regression" else ("logits", len(task.labels))

    def forward(inputs):
        mask = tf.cast(inputs["padding_mask"], tf.float32)[:, :, None]
        return {name: tf.reduce_sum(mask * waves(inputs["token_ids"], size), axis=1)}

    answers = check(task, forward, instances)
    if task.name == "classification":
        assert len({answer["label"] for answer in answers}) > 1
    if task.name == "multilabel":
        assert len({len(answer["labels"]) for answer in answers}) > 1
