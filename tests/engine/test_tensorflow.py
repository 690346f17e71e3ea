"""The train step on one device: accumulation, clipping, overflow, dropout's seeds, XLA."""

import contextlib
import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from kbert.engine import tensorflow
from kbert.engine.tensorflow import TrainingModel
from kbert.models import build_pretraining_model
from kbert.pretraining.objectives.masked_lm_next_sentence import MaskedLMNextSentence
from tests.engine.toy_model import (
    batch,
    dropped,
    fit,
    linear,
    selecting,
    step,
    trained,
    weights_of,
)
from tests.reference_bert import random_inputs

GOOD = [[1.0, 2.0], [3.0, -1.0], [0.5, 0.5], [2.0, 1.0]]


@pytest.fixture
def bert(tiny_config):
    """`bert(**options)`: the same tiny pre-training model each time, without dropout."""
    config = dataclasses.replace(tiny_config, num_layers=1, dropout=0.0, attention_dropout=0.0)

    def build(**options):
        keras.utils.set_random_seed(0)
        model = build_pretraining_model(config)
        return trained(model, MaskedLMNextSentence.sums, rate=0.1, **options)

    return build


@pytest.fixture
def bert_batch(tiny_config):
    """Four rows with 3, 1, 0 and 2 predictions: parts of the batch hold different numbers."""
    rng = np.random.default_rng(0)
    inputs = random_inputs(rng, tiny_config, [[1] * 8, [1] * 5 + [0] * 3, [1] * 8, [1] * 7 + [0]])
    masked = np.array([[1, 1, 1], [1, 0, 0], [0, 0, 0], [1, 1, 0]], "float32")
    return (
        inputs,
        {
            "masked_lm": rng.integers(0, 40, (4, 3)),
            "next_sentence": rng.integers(0, 2, (4, 2)),
        },
        {"masked_lm": masked / masked.sum(), "next_sentence": np.full((4, 2), 1 / 8, "float32")},
    )


def gradients_of(training_model, data):
    """Of the whole batch, by one tape, with none of the step's code."""
    inputs, targets, weights = data
    with tf.GradientTape() as tape:
        outputs = training_model.model(inputs, training=False)
        loss = training_model.objective(outputs, targets, weights)["loss"]
    variables = [weight.value for weight in training_model.model.trainable_weights]
    return [tf.convert_to_tensor(gradient) for gradient in tape.gradient(loss, variables)]


@pytest.mark.parametrize(
    "options", [{"accumulate": 2}, {"accumulate": 4}, {"jit_step": True}, {"jit_clusters": True}]
)
def test_accumulation_and_xla_equal_one_big_batch(bert, bert_batch, options):
    plain, other = bert(), bert(**options)
    for _ in range(3):
        expected, logs = step(plain, bert_batch), step(other, bert_batch)
        assert logs == pytest.approx(expected, abs=2e-6)
    for one, two in zip(weights_of(plain), weights_of(other), strict=True):
        np.testing.assert_allclose(two, one, atol=1e-6)


def test_accumulation_under_xla(bert, bert_batch):
    plain, other = bert(clip_norm=0.5), bert(clip_norm=0.5, accumulate=2, jit_step=True)
    assert step(other, bert_batch) == pytest.approx(step(plain, bert_batch), abs=2e-6)
    for one, two in zip(weights_of(plain), weights_of(other), strict=True):
        np.testing.assert_allclose(two, one, atol=1e-6)


def test_clusters_are_compiled_in_steps_alone(monkeypatch):
    """A callback computes other shapes, for each of which XLA would compile anew."""
    within, seen = [], []

    @contextlib.contextmanager
    def clusters():
        within.append(True)
        yield
        within.pop()

    monkeypatch.setattr(tensorflow, "xla_clusters", clusters)
    for options in ({"jit_clusters": True}, {}):
        training_model = linear(**options)
        objective, found = training_model.objective, []

        def traced(*batch, objective=objective, found=found):
            found.append(bool(within))
            return objective(*batch)

        training_model.objective = traced
        fit(training_model, tf.data.Dataset.from_tensors(batch([[1.0, 2.0]])))
        seen.append(found)
        assert not within
    assert seen == [[True], [False]]


@pytest.mark.parametrize("share", [0.3, 3.0])  # of the gradient's norm: clips, does not clip
def test_clipping_is_that_of_the_global_gradient(bert, bert_batch, share):
    gradients = gradients_of(bert(), bert_batch)
    norm = float(tf.linalg.global_norm(gradients))
    training_model = bert(clip_norm=share * norm)
    before = weights_of(training_model)
    logs = step(training_model, bert_batch)
    assert logs["gradient_norm"] == pytest.approx(norm, rel=1e-5)
    clipped, _ = tf.clip_by_global_norm(gradients, share * norm)
    for new, old, gradient in zip(weights_of(training_model), before, clipped, strict=True):
        np.testing.assert_allclose(new, old - 0.1 * gradient.numpy(), atol=1e-6)


def test_a_step_by_hand():
    """x = (1, 2), y = 1 + 4 = 5: d y^2 / dW = 2 y x = (10, 20), d / db = 10."""
    training_model = linear()
    logs = step(training_model, batch([[1.0, 2.0]]))
    assert logs["loss"] == 25
    assert logs["gradient_norm"] == pytest.approx(np.sqrt(600))
    assert logs["learning_rate"] == 1
    kernel, bias = weights_of(training_model)
    np.testing.assert_allclose(kernel[:, 0], [1 - 10, 2 - 20])
    np.testing.assert_allclose(bias, -10)


@pytest.mark.parametrize("bad", [np.inf, np.nan, 1e30])
def test_a_gradient_that_is_not_finite_changes_nothing(bad):
    training_model = linear(clip_norm=1.0, rate=0.01)
    before = weights_of(training_model)
    step(training_model, batch([[bad, 1.0], *GOOD[1:]]))
    for new, old in zip(weights_of(training_model), before, strict=True):
        np.testing.assert_array_equal(new, old)
    assert int(training_model.optimizer.iterations) == 0
    assert int(training_model.data_step.value) == 1
    step(training_model, batch(GOOD))
    assert int(training_model.optimizer.iterations) == 1
    assert not np.array_equal(weights_of(training_model)[0], before[0])
    assert np.isfinite(weights_of(training_model)[0]).all()
    assert float(training_model.loss_scale.value) == 1  # float32 needs none


def test_an_overflow_halves_the_loss_scale_under_float16(precision):
    precision("mixed_float16")
    training_model = linear(rate=0.01)
    before = weights_of(training_model)
    training_model.finite_steps.assign(7)
    logs = step(training_model, batch([[1e30, 1.0], *GOOD[1:]]))  # no float16
    assert logs["loss_scale"] == 2**15
    assert float(training_model.loss_scale.value) == 2**14
    assert int(training_model.finite_steps.value) == 0
    for new, old in zip(weights_of(training_model), before, strict=True):
        np.testing.assert_array_equal(new, old)


def test_the_loss_scale_doubles_after_2000_good_steps(precision):
    precision("mixed_float16")
    training_model = linear(rate=1e-5)
    training_model.loss_scale.assign(8)
    training_model.finite_steps.assign(1998)
    scales = []
    for _ in range(3):
        step(training_model, batch(GOOD))
        scales.append((float(training_model.loss_scale.value), int(training_model.finite_steps)))
    assert scales == [(8, 1999), (16, 0), (16, 1)]


def test_the_loss_scale_is_taken_out_again(precision):
    """Under float16 a step is that of float32, to the digits of float16."""
    expected = linear(rate=0.01, clip_norm=1.0)
    step(expected, batch(GOOD))
    precision("mixed_float16")
    training_model = linear(rate=0.01, clip_norm=1.0)
    training_model.loss_scale.assign(64)
    step(training_model, batch(GOOD))
    for new, old in zip(weights_of(training_model), weights_of(expected), strict=True):
        np.testing.assert_allclose(new, old, rtol=2e-3)


def test_a_tiny_gradient_survives_float16(precision):
    """1e-6 x 2e-3 is 0 in float16; the loss scale is there to keep it."""
    precision("mixed_float16")
    training_model = linear(kernel=((1e-3,), (0.0,)))
    before = weights_of(training_model)
    step(training_model, batch([[1.0, 0.0]], weights=[[1e-6]]))
    change = before[0][0, 0] - weights_of(training_model)[0][0, 0]
    assert change == pytest.approx(2e-9, rel=0.05)


def test_dropout_masks():
    """A function of (seed, step, microbatch), of the layer and the row."""
    model = dropped(accumulate=2, seed=3)
    first, second = step(model, selecting()), step(model, selecting())
    names = [f"{who}_{layer}" for who in ("first", "second") for layer in "ab"]
    masks = {logs[name] for logs in (first, second) for name in names}
    assert len(masks) == 8  # steps, microbatches and layers all differ
    again = step(dropped(accumulate=2, seed=3), selecting())
    assert [again[name] for name in names] == [first[name] for name in names]
    resumed = dropped(accumulate=2, seed=3)
    resumed.data_step.assign(1)
    logs = step(resumed, selecting())
    assert [logs[name] for name in names] == [second[name] for name in names]
    other = step(dropped(accumulate=2, seed=4), selecting())
    assert not masks & {other[name] for name in names}


def test_dropout_masks_depend_on_the_row():
    logs = step(dropped(), selecting())
    assert logs["first_a"] != logs["second_a"]


@pytest.mark.parametrize("seed", [2**15, 2**16, 2**31, 2**40])
def test_large_seeds(seed):
    assert np.isfinite(step(dropped(seed=seed), selecting())["loss"])


def test_fit_learns_and_reports(tiny_config):
    """Through `fit`, with dropout, on one batch again and again."""
    keras.utils.set_random_seed(0)
    config = dataclasses.replace(tiny_config, num_layers=1)
    model = TrainingModel(build_pretraining_model(config), MaskedLMNextSentence.sums)
    model.compile(keras.optimizers.Adam(0.02))
    rng = np.random.default_rng(0)
    data = (
        random_inputs(rng, tiny_config, [[1] * 8] * 4),
        {"masked_lm": np.full((4, 3), 9), "next_sentence": np.ones((4, 2), int)},
        {
            "masked_lm": np.full((4, 3), 1 / 12, "float32"),
            "next_sentence": np.full((4, 2), 1 / 8, "float32"),
        },
    )
    dataset = tf.data.Dataset.from_tensors(data).repeat(30)
    history = fit(model, dataset)
    assert len(history) == 30 == int(model.data_step.value)
    assert history[-1]["loss"] < 0.3 * history[0]["loss"]
    assert history[-1]["masked_lm_accuracy"] == 1
    assert set(history[0]) == {
        "loss",
        "masked_lm_loss",
        "masked_lm_accuracy",
        "next_sentence_loss",
        "next_sentence_accuracy",
        "gradient_norm",
        "loss_scale",
        "learning_rate",
    }


def test_evaluate_sums_over_batches():
    training_model = linear()
    parts = [batch(GOOD[:2], weights=[[0.1], [0.2]]), batch(GOOD[2:], weights=[[0.3], [0.4]])]
    dataset = tf.data.Dataset.from_generator(
        lambda: iter(parts),
        output_signature=tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype), parts[0]),
    )
    before = weights_of(training_model)
    # y = x + 2 x' is 5, 1, 1.5, 4
    expected = 0.1 * 25 + 0.2 * 1 + 0.3 * 2.25 + 0.4 * 16
    assert training_model.evaluate_sums(dataset) == pytest.approx({"loss": expected})
    for new, old in zip(weights_of(training_model), before, strict=True):
        np.testing.assert_array_equal(new, old)
