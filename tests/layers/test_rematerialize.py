"""A block that computes again for its gradients gives the same ones, dropout included."""

import dataclasses

import keras
import numpy as np
import pytest

from kbert.engine.backend import engine
from kbert.models import build_pretraining_model
from kbert.pretraining.objectives.masked_lm_next_sentence import MaskedLMNextSentence


def inputs_of(config):
    inputs = {
        "token_ids": np.random.default_rng(0).integers(5, config.vocabulary_size, (4, 8)),
        "segment_ids": np.zeros((4, 8)),
        "padding_mask": np.ones((4, 8)),
        "mask_positions": np.tile([1, 3], (4, 1)),
    }
    return {name: array.astype("int32") for name, array in inputs.items()}


def one_step(config, rematerialize, jit_step):
    """The weights after two steps with dropout."""
    keras.utils.set_random_seed(0)
    model = build_pretraining_model(config, rematerialize)
    trainer = engine().TrainingModel(model, MaskedLMNextSentence.sums, jit_step=jit_step, seed=3)
    trainer.compile(engine().Adam(0.01))
    inputs = inputs_of(config) | {"cls_positions": np.zeros((4, 1), "int32")}
    targets = {"masked_lm": np.full((4, 2), 7), "next_sentence": np.ones((4, 1), int)}
    weights = {name: np.full(t.shape, 1 / t.size, "float32") for name, t in targets.items()}
    batches = engine().as_dataset(lambda _: (inputs, targets, weights), 2)
    trainer.fit(batches, verbose=0, shuffle=False)
    return model.get_weights()


@pytest.mark.parametrize(
    # The additive score is computed again by itself, too.
    ("jit_step", "score"),
    [(False, "additive"), (True, "scaled_dot")],
)
def test_same_weights(tiny_config, jit_step, score):
    config = dataclasses.replace(
        tiny_config, num_layers=2, dropout=0.3, attention_dropout=0.3, attention_score=score
    )
    plain, again = (one_step(config, flag, jit_step) for flag in (False, True))
    for one, other in zip(plain, again, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_gradients_in_plain_keras(tiny_config):
    """Where Keras keeps no states outside, and TensorFlow reads a variable when it needs it."""
    config = dataclasses.replace(tiny_config, dropout=0.3, attention_dropout=0.3)
    inputs = inputs_of(config)

    def trained(rematerialize):
        keras.utils.set_random_seed(0)
        model = build_pretraining_model(config, rematerialize, objective="masked-lm")
        model.compile(keras.optimizers.SGD(0.1), "mean_squared_error", jit_compile=False)
        model.fit(inputs, {"masked_lm": np.ones((4, 2, config.vocabulary_size))}, verbose=0)
        return model.get_weights()

    for one, other in zip(trained(False), trained(True), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
