"""Tagging in a graph, with every option, against `TaggingTask.decode`."""

import numpy as np
import pytest
import tensorflow as tf

from kbert import TaggingTask
from tests.serving.graph.by_hand import TEXTS, check, waves

LABELS = ("LOC", "PER")


@pytest.mark.parametrize(
    "task",
    [
        TaggingTask(labels=LABELS, sequence_length=10),
        TaggingTask(labels=LABELS, sequence_length=200, valid_tags=True, document_context=True),
        TaggingTask(labels=LABELS, sequence_length=11, crf=True),
        TaggingTask(labels=LABELS, sequence_length=4, crf=True, valid_tags=True, characters=True),
        TaggingTask(labels=("NOUN", "O", "VERB"), sequence_length=16, plain=True),
        TaggingTask(labels=("",), sequence_length=16),
    ],
    ids=["alone", "valid", "crf", "both", "plain", "no name"],
)
def test_every_option(task):
    size = len(task.tags)
    transitions = np.random.default_rng(1).normal(size=(1, size + 2, size)).astype("float32")

    def forward(inputs):
        outputs = {"logits": waves(inputs["token_ids"], size)}
        if task.crf:
            outputs["transitions"] = tf.tile(transitions, [tf.shape(inputs["token_ids"])[0], 1, 1])
        return outputs

    answers = check(task, forward, [{"text": text} for text in TEXTS])
    assert len({tag for answer in answers for tag in answer["tags"]}) == size
    assert any(answer["entities"] for answer in answers) != task.plain
