"""A teacher beside an objective: its loss against SciPy, a run with one, what cannot teach."""

import dataclasses
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import entropy

from kbert import load
from kbert.checkpoints.directory import Checkpoint, save
from kbert.config import BertConfig
from kbert.corpus.store import TokenStore
from kbert.errors import DataError
from kbert.layers.losses import cosine_distance, divergence
from kbert.models import build_pretraining_model
from kbert.pretraining.masking.token import TokenMasking
from kbert.pretraining.objectives import OBJECTIVES
from kbert.pretraining.objectives.distillation import Distillation
from kbert.pretraining.rows import PretrainingRows
from kbert.pretraining.run import pretrain
from kbert.pretraining.settings import PretrainingSettings, Schedule
from tests.layers.contract import numpy

TEMPERATURE = 2.0


@pytest.fixture(scope="module")
def store(tiny_store):
    return TokenStore(tiny_store)


@pytest.fixture(scope="module")
def config(store):
    sizes = {"num_layers": 1, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16}
    sizes |= {"max_sequence_length": 24, "dropout": 0.0, "attention_dropout": 0.0}
    return BertConfig(len(store.vocabulary), **sizes)


def write_teacher(folder, store, config, objective):
    keras.utils.set_random_seed(7)
    model = build_pretraining_model(config, objective=objective)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.normal(scale=0.5, size=weight.shape))
    tokenizer = SimpleNamespace(vocabulary=store.vocabulary, options=store.tokenizer_options)
    save(folder, Checkpoint(model, tokenizer, config))
    return folder


@pytest.fixture(scope="module")
def teacher(store, config, tmp_path_factory):
    """Wider in layers, and with a head that the students lack."""
    config = dataclasses.replace(config, num_layers=2)
    folder = tmp_path_factory.mktemp("teacher")
    return write_teacher(folder, store, config, "masked-lm-next-sentence")


@pytest.fixture(scope="module")
def wide_teacher(store, config, tmp_path_factory):
    """Twice as wide as the students."""
    config = dataclasses.replace(config, hidden_dim=16)
    return write_teacher(tmp_path_factory.mktemp("wide"), store, config, "masked-lm")


def one_batch(objective, store):
    options = {"sequence_length": 24, "batch_size": 4, "seed": 0}
    return PretrainingRows(store, "train", objective, **options).batch(0)


def test_divergence_and_cosine():
    logits, other = np.random.default_rng(0).normal(size=(2, 3, 4, 9)).astype("float32") * 4
    target = softmax(other / 2, axis=-1)
    expected = 4 * entropy(target, softmax(logits / 2, axis=-1), axis=-1)
    np.testing.assert_allclose(numpy(divergence(logits, target, 2.0)), expected, rtol=1e-4)
    product = (logits * other).sum(-1)
    cosine = product / np.linalg.norm(logits, axis=-1) / np.linalg.norm(other, axis=-1)
    np.testing.assert_allclose(numpy(cosine_distance(logits, other)), 1 - cosine, atol=1e-5)


@pytest.mark.parametrize("name", ["masked-lm", "masked-lm-next-sentence"])
def test_the_loss_is_the_papers(name, store, config, teacher):
    inner = OBJECTIVES[name](TokenMasking(store.vocabulary))
    objective = Distillation(inner, teacher, 0.3, TEMPERATURE, 0.2)
    objective.check(config)
    student = objective.build_model(config)
    inputs, targets, weights = one_batch(objective, store)
    outputs = objective.trained(student)(inputs)
    found = {k: float(v) for k, v in objective.sums(outputs, targets, weights).items()}

    plain_inputs, plain_targets, plain_weights = one_batch(inner, store)
    plain = inner.sums(student(plain_inputs), plain_targets, plain_weights)
    assert found["masked_lm_loss"] == pytest.approx(float(plain["masked_lm_loss"]), rel=1e-5)
    whole = load(teacher).model
    states = keras.Model(whole.input, whole.get_layer("block_1").output)
    given = {name: plain_inputs.get(name, np.zeros((4, 1), "int32")) for name in whole.input}
    said = numpy(whole(given)["masked_lm"])
    target = softmax(said / TEMPERATURE, axis=-1)
    own = softmax(numpy(outputs["masked_lm"]) / TEMPERATURE, axis=-1)
    distance = TEMPERATURE**2 * entropy(target, own, axis=-1)
    divergence = (distance * plain_weights["masked_lm"]).sum()
    assert found["teacher_loss"] == pytest.approx(divergence, rel=1e-3)
    one, other = numpy(outputs["hidden_states"]), numpy(states(given))
    cosine = (one * other).sum(-1) / np.linalg.norm(one, axis=-1) / np.linalg.norm(other, axis=-1)
    hidden = (1 - cosine)[plain_inputs["padding_mask"] > 0].mean()
    assert found["hidden_loss"] == pytest.approx(hidden, rel=1e-3)
    expected = 0.7 * float(plain["loss"]) + 0.3 * divergence + 0.2 * hidden
    assert found["loss"] == pytest.approx(expected, rel=1e-3)


def test_hidden_states_of_another_width_are_projected(store, config, wide_teacher):
    objective = Distillation(
        OBJECTIVES["masked-lm"](TokenMasking(store.vocabulary)), wide_teacher, 0.3, 1.0, 1.0
    )
    student = objective.build_model(config)
    model = objective.trained(student)
    inputs, targets, weights = one_batch(objective, store)
    (kernel,) = model.get_layer("training_only").get_weights()
    kernel = np.random.default_rng(1).normal(size=kernel.shape).astype("float32")
    model.get_layer("training_only").set_weights([kernel])
    found = objective.sums(model(inputs), targets, weights)
    states = keras.Model(student.input, student.get_layer("block_0").output)
    one = numpy(states(inputs)) @ kernel
    whole = load(wide_teacher).model
    states = keras.Model(whole.input, whole.get_layer("block_0").output)
    other = numpy(states(inputs))
    cosine = (one * other).sum(-1) / np.linalg.norm(one, axis=-1) / np.linalg.norm(other, axis=-1)
    hidden = (1 - cosine)[inputs["padding_mask"] > 0].mean()
    assert float(found["hidden_loss"]) == pytest.approx(hidden, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["teacher", "wide_teacher"])
def test_a_run_with_a_teacher_ends_nearer_to_it(store, config, tmp_path, request, kind):
    """What is saved is the student alone, and the same run goes on from it."""
    teacher = request.getfixturevalue(kind)
    settings = PretrainingSettings(
        objective="masked-lm",
        num_steps=12,
        batch_size=8,
        sequence_length=24,
        learning_rate=2e-2,
        teacher=str(teacher),
        teacher_share=1.0,
        hidden_share=1.0,
    )
    schedule = Schedule(validate_every=1, validation_batches=2, save_every=5)
    losses = []

    def after(num_steps):
        run = dataclasses.replace(settings, num_steps=num_steps, warmup_steps=1)
        return pretrain(store, tmp_path / f"run{num_steps}", config, run, schedule)["held_out"]

    losses = [after(1), after(12)]
    for name in ("teacher_loss", "hidden_loss"):
        assert losses[1][name] < 0.95 * losses[0][name]
    student = load(tmp_path / "run12")
    assert set(student.model.output) == {"masked_lm"}
    assert (
        student.model.count_params()
        == build_pretraining_model(config, objective="masked-lm").count_params()
    )
    again = after(12)
    assert again["teacher_loss"] == pytest.approx(losses[1]["teacher_loss"], rel=1e-4)


def test_what_cannot_teach_is_refused(store, config, teacher, tmp_path):
    settings = PretrainingSettings(
        num_steps=1, batch_size=2, sequence_length=24, teacher=str(teacher), hidden_share=1.0
    )
    left = dataclasses.replace(config, direction="left")
    gpt = write_teacher(tmp_path / "gpt", store, left, "left-to-right")
    with pytest.raises(DataError, match="must predict masked_lm. Received: .* next_token"):
        pretrain(store, tmp_path / "run", config, dataclasses.replace(settings, teacher=str(gpt)))
    short = dataclasses.replace(config, max_sequence_length=16)
    short = write_teacher(tmp_path / "short", store, short, "masked-lm")
    with pytest.raises(DataError, match="takes 16 tokens. Received: rows of 24"):
        pretrain(store, tmp_path / "run", config, dataclasses.replace(settings, teacher=str(short)))
