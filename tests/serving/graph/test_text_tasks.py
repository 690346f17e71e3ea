"""Classification, regression and multi-label classification in a graph."""

import pytest
import tensorflow as tf

from kbert import ClassificationTask, MultiLabelTask, RegressionTask
from tests.serving.graph.by_hand import LONG, TEXTS, check, waves

ONE = [{"text": text} for text in TEXTS]
TWO = [{"text": text, "second": second} for text in TEXTS for second in ("", LONG, "we saw it")]
PAIRS = {"second_column": "second", "sequence_length": 12}


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
