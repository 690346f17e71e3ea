"""Pooler, masked-LM transform, vocabulary bias: against the reference and by hand."""

import keras
import ml_dtypes  # noqa: F401  (NumPy's bfloat16)
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbert.config import BertConfig
from kbert.layers.heads import MaskedLMHead, Pooler, VocabularyBias, gather
from tests import reference_bert
from tests.layers.contract import check_layer, dtype_of, gradients, numpy


@pytest.fixture
def vectors():
    return np.random.default_rng(0).normal(size=(3, 5, 8)).astype("float32")


POSITIONS = np.array([[0, 4], [2, 2], [3, 1]], "int32")


def test_pooler_contract(vectors, precision):
    check_layer(Pooler(), vectors, POSITIONS, precision=precision)


def test_masked_lm_head_contract(vectors, precision):
    check_layer(MaskedLMHead(), vectors, POSITIONS, precision=precision)


def test_pooler_equals_reference(vectors):
    layer = Pooler(name="pooler")
    layer.build(vectors.shape)
    weights = reference_bert.randomized(layer)
    np.testing.assert_allclose(
        numpy(layer(vectors)), reference_bert.pool(weights, vectors[:, 0]), atol=1e-5
    )
    chosen = np.stack([row[p] for row, p in zip(vectors, POSITIONS, strict=True)])
    np.testing.assert_allclose(
        numpy(layer(vectors, POSITIONS)), reference_bert.pool(weights, chosen), atol=1e-5
    )


@pytest.mark.parametrize("activation", ["gelu_tanh", "gelu_erf"])
def test_masked_lm_head_takes_the_configs_activation_and_epsilon(vectors, activation):
    """keras-hub's head has an activation and an epsilon of its own: ours are the body's."""
    config = BertConfig(8, hidden_dim=8, num_heads=1, activation=activation, layer_norm_epsilon=0.5)
    layer = MaskedLMHead(activation=activation, layer_norm_epsilon=0.5, name="masked_lm_head")
    layer.build(vectors.shape)
    weights = reference_bert.randomized(layer)
    # A table of ones on the diagonal and no bias: the logits are the transformed vectors.
    weights = {**weights, "embedding/token_table": np.eye(8), "masked_lm_bias/bias": np.zeros(8)}
    chosen = np.stack([row[p] for row, p in zip(vectors, POSITIONS, strict=True)])
    expected = reference_bert.masked_lm_logits(weights, config, chosen)
    np.testing.assert_allclose(numpy(layer(vectors, POSITIONS)), expected, atol=1e-5)
    everywhere = reference_bert.masked_lm_logits(weights, config, vectors)
    np.testing.assert_allclose(numpy(layer(vectors)), everywhere, atol=1e-5)


def test_vocabulary_bias_adds_in_float32(precision):
    precision("mixed_float16")
    layer = VocabularyBias()
    scores = np.zeros((2, 3, 4), "float32")
    layer(scores)
    layer.bias.assign([0, 1, 2, 1e6])  # more than float16 holds
    result = layer(scores)
    assert dtype_of(result) == "float32"
    np.testing.assert_array_equal(numpy(result)[1, 2], [0, 1, 2, 1e6])
    assert VocabularyBias.from_config(layer.get_config()).dtype_policy.name == "float32"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_vocabulary_bias_learns_the_sum_over_all_scores(dtype):
    scores = np.zeros((2, 3, 4), dtype)
    upstream = np.random.default_rng(0).integers(-8, 8, (2, 3, 4)).astype("float32")
    found = gradients(VocabularyBias(), scores, upstream)
    np.testing.assert_array_equal(found["bias"], upstream.sum((0, 1)))


@given(st.data())
def test_gather_takes_rows_of_each_matrix(data):
    batch, sequence, count = (data.draw(st.integers(1, 4)) for _ in range(3))
    place = st.integers(0, sequence - 1)
    positions = data.draw(
        st.lists(st.lists(place, min_size=count, max_size=count), min_size=batch, max_size=batch)
    )
    vectors = np.arange(batch * sequence * 2.0).reshape(batch, sequence, 2)
    result = numpy(gather(keras.ops.convert_to_tensor(vectors), np.array(positions)))
    for row in range(batch):
        for slot in range(count):
            np.testing.assert_array_equal(result[row, slot], vectors[row, positions[row][slot]])
