"""Layers as people put them together: models without declared inputs, other types, mistakes."""

import keras
import numpy as np
import pytest

from kbert.layers.attention import MultiHeadSelfAttention
from kbert.layers.embedding import BertEmbedding
from kbert.layers.encoder_block import TransformerEncoderBlock
from kbert.models import build_pretraining_model


@keras.saving.register_keras_serializable("tests")
class Classifier(keras.Model):
    """Keras builds it again, when it is loaded, with inputs of its own making."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.embedding = BertEmbedding(vocabulary_size=100, hidden_dim=16)
        self.block = TransformerEncoderBlock(num_heads=2, intermediate_dim=32)
        self.classes = keras.layers.Dense(3)

    def call(self, inputs):
        x = self.embedding(inputs["token_ids"])
        return self.classes(self.block(x, inputs["padding_mask"])[:, 0])


def test_a_subclassed_model_is_loaded_with_its_weights(tmp_path):
    rng = np.random.default_rng(0)
    inputs = {
        "token_ids": rng.integers(100, size=(2, 8)).astype("int32"),
        "padding_mask": np.ones((2, 8), "int32"),
    }
    model = Classifier()
    expected = keras.ops.convert_to_numpy(model(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(keras.ops.convert_to_numpy(loaded(inputs)), expected, atol=1e-6)


def test_float64():
    x = np.random.default_rng(0).normal(size=(1, 3, 16))
    block = TransformerEncoderBlock(2, 32, dtype="float64")
    assert keras.backend.standardize_dtype(block(x, np.ones((1, 3))).dtype) == "float64"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MultiHeadSelfAttention(2, direction="right"), "`direction` must be one of both"),
        (lambda: MultiHeadSelfAttention(2, score="sum"), "`score` must be one of scaled_dot, dot"),
        (lambda: MultiHeadSelfAttention(0), "`num_heads` must be at least 1. Received: 0"),
        (
            lambda: MultiHeadSelfAttention(2, rotary=True).build((None, None, 6)),
            "heads of an even width. Received: width 6, num_heads=2",
        ),
        (lambda: TransformerEncoderBlock(2, 8, norm_placement="pre"), "aa, ab, .* Received: 'pre'"),
        (
            lambda: TransformerEncoderBlock(2, 8, activation="gelu"),
            "gelu_tanh, .* Received: 'gelu'",
        ),
        (lambda: BertEmbedding(9, 8, position="sinus"), "`position` must be one of learned, sinus"),
        (lambda: build_pretraining_model(None, objective="mlm"), "`objective` must be one of mask"),
    ],
)
def test_a_value_that_is_no_choice_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
