"""A packed row trains as its examples would in rows of their own."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from kbert.corpus.store import TokenStore
from kbert.models import build_pretraining_model
from kbert.pretraining.objectives.masked_lm_next_sentence import MaskedLMNextSentence
from kbert.pretraining.rows import PretrainingRows
from tests.packed_rows import one_example_a_row


@pytest.fixture(scope="module")
def packed(tiny_store):
    """Sixteen rows, most of them of several examples."""
    rows = PretrainingRows(
        TokenStore(tiny_store), "train", sequence_length=64, batch_size=16, seed=0
    )
    batch = rows.batch(0)
    assert (batch[0]["padding_mask"].max(axis=1) > 1).sum() > 8
    return batch


@pytest.fixture
def model(tiny_config, tiny_vocabulary):
    """Without dropout; weights large enough for every path to matter."""
    config = dataclasses.replace(
        tiny_config,
        vocabulary_size=len(tiny_vocabulary),
        max_sequence_length=64,
        dropout=0.0,
        attention_dropout=0.0,
        initializer_stddev=0.3,
    )
    keras.utils.set_random_seed(0)
    return build_pretraining_model(config)


def computed(model, batch):
    """Logits, the objective's sums, the gradients by name."""
    inputs, targets, weights = batch
    with tf.GradientTape() as tape:
        outputs = model(inputs, training=True)
        sums = MaskedLMNextSentence.sums(outputs, targets, weights)
    variables = model.trainable_weights
    gradients = tape.gradient(sums["loss"], [variable.value for variable in variables])
    by_name = {
        variable.path: tf.convert_to_tensor(gradient).numpy()
        for variable, gradient in zip(variables, gradients, strict=True)
    }
    return outputs, {name: float(value) for name, value in sums.items()}, by_name


def test_logits_loss_and_gradients_are_those_of_separate_rows(model, packed):
    apart = one_example_a_row(packed)
    assert len(apart[0]["token_ids"]) > 1.5 * len(packed[0]["token_ids"])
    outputs, sums, gradients = computed(model, packed)
    separate = computed(model, apart)
    for name, logits in outputs.items():
        used, used_apart = packed[2][name] > 0, apart[2][name] > 0
        np.testing.assert_allclose(
            logits.numpy()[used], separate[0][name].numpy()[used_apart], atol=1e-5, rtol=0
        )
    assert sums == pytest.approx(separate[1], abs=1e-5)
    assert set(gradients) == set(separate[2])
    for name, gradient in gradients.items():
        assert np.abs(gradient).max() > 0, name
        np.testing.assert_allclose(gradient, separate[2][name], atol=1e-5, rtol=0, err_msg=name)


def test_an_example_does_not_see_the_others_of_its_row(model, packed):
    """Other tokens in the first example of each row change its logits, and no other's."""
    inputs, _, weights = packed
    is_first = inputs["padding_mask"] == 1
    other = {**inputs, "token_ids": np.where(is_first, 7, inputs["token_ids"])}
    before, after = (model(x)["next_sentence"].numpy() for x in (inputs, other))
    used = weights["next_sentence"] > 0
    np.testing.assert_array_equal(before[:, 1:][used[:, 1:]], after[:, 1:][used[:, 1:]])
    assert np.abs(before - after)[:, 0].max() > 1e-3
