"""Attention and vectors: what the encoder and `embed` give, however the texts are batched."""

import keras
import numpy as np
import pytest

from kbert import Checkpoint, build_encoder
from kbert.checkpoints.directory import copy_weights
from kbert.checkpoints.sentence_vectors import Pooling
from kbert.inference.answerer import Answerer
from kbert.inference.text_encoder import TextEncoder
from kbert.inference.views.attention import AttentionScores, attention_forward
from kbert.inference.views.vectors import vectors_forward, vectors_of
from kbert.tasks.classification import ClassificationTask
from tests.inference.views.models import CONFIG, finetuned, tokenizer, with_weights

TEXTS = ["the film was good", "今天", "we saw it , and it was bad music !"]


@pytest.fixture(scope="module")
def checkpoint():
    return Checkpoint(with_weights(build_encoder(CONFIG)), tokenizer(), CONFIG)


def test_attention_is_the_encoders(checkpoint):
    view = Answerer(AttentionScores(8), tokenizer(), attention_forward(checkpoint))
    encoder = build_encoder(CONFIG, ("attention_scores",))
    copy_weights(checkpoint.model, encoder)
    for text, answer in zip(TEXTS, view.predict(TEXTS), strict=True):
        found = np.array(answer["attention"])
        inputs = tokenizer()([text], sequence_length=8)
        expected = np.stack([np.asarray(x)[0] for x in encoder(inputs)["attention_scores"]])
        assert found.shape == (2, 2, len(answer["tokens"]), len(answer["tokens"]))
        np.testing.assert_allclose(found, expected, atol=6e-4)
        np.testing.assert_allclose(found.sum(axis=-1), 1, atol=5e-3)
    assert answer["cut"]


def test_attention_of_features_of_a_lower_layer():
    """The model has no block above them."""
    task = ClassificationTask(labels=("a", "b"), features="second-to-last", sequence_length=8)
    model = finetuned(task)
    view = Answerer(AttentionScores(8), tokenizer(), attention_forward(model))
    (answer,) = view.predict(TEXTS[:1])
    encoder = build_encoder(CONFIG, ("attention_scores",))
    lowest = keras.Model(encoder.input, encoder.output["attention_scores"][0])
    copy_weights(model.model, lowest)
    expected = np.asarray(lowest(tokenizer()(TEXTS[:1], sequence_length=8)))
    np.testing.assert_allclose(answer["attention"], expected, atol=6e-4)


@pytest.mark.parametrize("mode", ["mean", "cls+max"])
def test_vectors_are_those_of_embed(checkpoint, mode):
    pooling = Pooling(mode=mode, normalize=True, prompt="it was ")
    view = Answerer(vectors_of(pooling, 32), tokenizer(), vectors_forward(checkpoint, pooling))
    found = [answer["embedding"] for answer in view.predict(TEXTS)]
    expected = TextEncoder(checkpoint, pooling).encode(TEXTS)
    np.testing.assert_allclose(found, expected, atol=1e-5)
