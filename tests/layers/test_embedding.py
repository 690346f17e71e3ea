"""BertEmbedding: the sum of three tables, positions inside packed sequences, the tied table."""

import keras
import numpy as np
import pytest

from kbert.layers.embedding import BertEmbedding
from tests import reference_bert
from tests.layers.contract import check_layer, dtype_of, numpy

MASK = np.array([[1, 1, 1, 2, 2, 0], [1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]], "int32")
TOKENS = np.array([[3, 1, 4, 1, 5, 9], [2, 6, 5, 3, 5, 8], [9, 7, 9, 3, 2, 3]], "int32")
SEGMENTS = np.array([[0, 0, 1, 0, 1, 0], [0, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]], "int32")


@pytest.fixture
def layer():
    layer = BertEmbedding(10, 8, max_sequence_length=6, dropout=0.0, name="embedding")
    layer.build(None)
    return layer


def test_contract(precision):
    check_layer(
        BertEmbedding(10, 8, max_sequence_length=6, dropout=0.0),
        TOKENS,
        SEGMENTS,
        MASK,
        precision=precision,
    )


def test_equals_reference(layer):
    weights = reference_bert.randomized(layer)
    result = numpy(layer(TOKENS, SEGMENTS, MASK))
    for row in range(len(TOKENS)):
        expected = reference_bert.embed(weights, 1e-12, TOKENS[row], SEGMENTS[row], MASK[row])
        np.testing.assert_allclose(result[row], expected, atol=1e-5)


@pytest.mark.parametrize("position", ["sinusoidal", "rotary", "none"])
def test_other_positions(position, precision):
    layer = BertEmbedding(10, 8, max_sequence_length=6, dropout=0.0, position=position)
    check_layer(layer, TOKENS, SEGMENTS, MASK, precision=precision)
    assert not any(weight.path.endswith("position_table") for weight in layer.weights)


def test_sinusoidal_positions():
    layer = BertEmbedding(10, 8, dropout=0.0, position="sinusoidal", name="embedding")
    layer.build(None)
    weights = reference_bert.randomized(layer)
    result = numpy(layer(TOKENS, SEGMENTS, MASK))
    for row in range(len(TOKENS)):
        expected = reference_bert.embed(
            weights, 1e-12, TOKENS[row], SEGMENTS[row], MASK[row], "sinusoidal"
        )
        np.testing.assert_allclose(result[row], expected, atol=1e-5)


def test_hand_calculation(layer):
    """Token 1 is (8, 0, 0, ...), segment 1 adds 4 and position 1 adds 4 to the second column."""
    for table in (layer.token_table, layer.segment_table, layer.position_table):
        table.assign(np.zeros(table.shape))
    layer.token_table.assign(np.eye(10, 8, k=-1) * 8)
    layer.segment_table.assign([[0] * 8, [0, 4, 0, 0, 0, 0, 0, 0]])
    layer.position_table.assign(np.outer(np.arange(6) == 1, np.eye(8)[1] * 4))
    result = numpy(layer(np.array([[0, 1]]), np.array([[0, 1]])))
    # (8, 8, 0 x 6): mean 2, deviation sqrt(12)
    expected = np.array([6, 6, -2, -2, -2, -2, -2, -2]) / np.sqrt(12)
    np.testing.assert_allclose(result[0, 1], expected, atol=1e-6)


def test_segments_and_mask_have_defaults(layer):
    reference_bert.randomized(layer)
    zeros, ones = np.zeros_like(TOKENS), np.ones_like(TOKENS)
    np.testing.assert_array_equal(numpy(layer(TOKENS)), numpy(layer(TOKENS, zeros, ones)))


def test_reverse_is_the_product_with_the_token_table(layer):
    weights = reference_bert.randomized(layer)
    hidden = np.random.default_rng(1).normal(size=(2, 3, 8)).astype("float32")
    scores = numpy(layer(hidden, reverse=True))
    table = next(value for path, value in weights.items() if path.endswith("token_table"))
    np.testing.assert_allclose(scores, hidden @ table.T, atol=1e-5)


def test_scores_are_of_16_bits_like_the_vectors(precision):
    precision("mixed_bfloat16")
    layer = BertEmbedding(10, 8, max_sequence_length=6)
    embedded = layer(TOKENS)
    assert dtype_of(embedded) == "bfloat16"
    assert dtype_of(layer(embedded, reverse=True)) == "bfloat16"
    assert layer.token_table.dtype == "float32"


def test_too_long_rows_are_refused(layer):
    with pytest.raises(ValueError, match=r"max_sequence_length=6 tokens.*\(2, 7\)"):
        layer(np.zeros((2, 7), "int32"))


def test_initialisation_is_cut_at_two_deviations():
    layer = BertEmbedding(1000, 64, initializer_stddev=0.5)
    layer.build(None)
    table = numpy(layer.token_table)
    assert np.abs(table).max() <= 1.0
    # A normal distribution cut at two deviations has 0.88 of its deviation.
    assert table.std() == pytest.approx(0.44, rel=0.02)


def test_dropout_acts_in_training_only():
    layer = BertEmbedding(10, 8, max_sequence_length=6, dropout=0.5)
    layer.build(None)
    assert (numpy(layer(TOKENS)) != 0).all()
    share = (numpy(layer(np.zeros((100, 6), "int32"), training=True)) == 0).mean()
    assert share == pytest.approx(0.5, abs=0.05)


def test_is_registered():
    assert keras.saving.get_registered_object("kbert>BertEmbedding") is BertEmbedding
