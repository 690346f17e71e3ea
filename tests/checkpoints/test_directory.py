"""Checkpoint directories: what is saved comes back, and what does not fit is named."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import safetensors.numpy

from kbert import Checkpoint, WordPieceTokenizer, load, save
from kbert.checkpoints.directory import copy_weights, encoder_of, load_config, load_model
from kbert.config import BertConfig
from kbert.errors import DataError
from kbert.models import build_encoder, build_pretraining_model
from kbert.tasks.classification import ClassificationTask
from tests.layers.contract import numpy
from tests.reference_bert import random_inputs, randomized
from tests.small_store import vocabulary_of

TASK = ClassificationTask(labels=("no", "yes"), sequence_length=12)
KINDS = ("encoder", "pretraining", "task")


@pytest.fixture(scope="module")
def config():
    return BertConfig(
        40,
        num_layers=1,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=16,
        max_sequence_length=16,
        activation="gelu_erf",
        layer_norm_epsilon=1e-7,
    )


@pytest.fixture(scope="module")
def checkpoints(config):
    """One of each kind, with random weights."""
    tokenizer = WordPieceTokenizer(vocabulary_of(40), lowercase=False)
    models = {
        "encoder": build_encoder(config),
        "pretraining": build_pretraining_model(config),
        "task": TASK.build_model(build_encoder(config)),
    }
    for model in models.values():
        randomized(model)
    return {
        kind: Checkpoint(model, tokenizer, config, TASK if kind == "task" else None)
        for kind, model in models.items()
    }


@pytest.fixture
def folder(tmp_path, checkpoints):
    """The pre-training checkpoint on disk."""
    save(tmp_path / "checkpoint", checkpoints["pretraining"])
    return tmp_path / "checkpoint"


def outputs(model, config):
    inputs = random_inputs(np.random.default_rng(0), config, [[1] * 8, [1] * 5 + [0] * 3])
    result = model({tensor.name: inputs[tensor.name] for tensor in model.inputs})
    return {name: numpy(value) for name, value in result.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_round_trip(tmp_path, checkpoints, config, kind):
    before = checkpoints[kind]
    save(tmp_path, before)
    after = load(tmp_path)
    assert (after.config, after.task) == (config, before.task)
    assert after.tokenizer.vocabulary == before.tokenizer.vocabulary
    assert after.tokenizer.options == before.tokenizer.options
    expected = outputs(before.model, config)
    result = outputs(after.model, config)
    assert set(result) == set(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(result[name], value)


def test_files(folder, checkpoints):
    assert {file.name for file in folder.iterdir()} == {
        "config.json",
        "vocab.txt",
        "model.safetensors",
    }
    written = json.loads((folder / "config.json").read_text())
    assert (written["format"], written["model"]) == (1, "pretraining")
    assert BertConfig.from_dict(written["encoder"]) == load_config(folder)
    arrays = safetensors.numpy.load_file(folder / "model.safetensors")
    assert arrays["embedding/token_table"].shape == (40, 8)
    assert sum(array.size for array in arrays.values()) == (
        checkpoints["pretraining"].model.count_params()
    )


def test_an_encoder_in_the_place_of_a_task_leaves_no_task(tmp_path, checkpoints):
    save(tmp_path, checkpoints["task"])
    assert load(tmp_path).task == TASK
    save(tmp_path, checkpoints["encoder"])
    assert load(tmp_path).task is None


def test_half_the_size(tmp_path, checkpoints):
    sizes = {}
    for dtype in ("float32", "float16"):
        save(tmp_path / dtype, checkpoints["encoder"], dtype)
        sizes[dtype] = (tmp_path / dtype / "model.safetensors").stat().st_size
        weights = load_model(tmp_path / dtype)[0].get_weights()
        for ours, theirs in zip(weights, checkpoints["encoder"].model.get_weights(), strict=True):
            assert ours.dtype == "float32"
            np.testing.assert_allclose(ours, theirs, rtol=1e-3 if dtype == "float16" else 0)
    assert sizes["float16"] < 0.7 * sizes["float32"]  # names are a large part of a tiny file


@pytest.mark.parametrize("kind", KINDS)
def test_encoder_of_any_kind(checkpoints, config, kind):
    checkpoint = checkpoints[kind]
    changed = dataclasses.replace(checkpoint.config, dropout=0.5)
    encoder = encoder_of(checkpoint._replace(config=changed))
    assert encoder.get_layer("embedding").dropout == 0.5
    source = {weight.path: numpy(weight) for weight in checkpoint.model.weights}
    for weight in encoder.weights:
        np.testing.assert_array_equal(numpy(weight), source[weight.path])


def test_copy_weights_wants_the_same_sizes(checkpoints, config):
    wider = build_encoder(BertConfig.from_dict({**config.to_dict(), "intermediate_dim": 32}))
    with pytest.raises(DataError, match=r"no weight block_0/intermediate/kernel of \(8, 32\)"):
        copy_weights(checkpoints["encoder"].model, wider)


def test_a_pretraining_model_goes_on_from_an_encoder_with_heads_of_its_own(checkpoints, config):
    model, source = build_pretraining_model(config), checkpoints["encoder"].model
    heads = {w.path: numpy(w).copy() for w in model.weights if "head" in w.path}
    copy_weights(source, model)
    expected = {**heads, **{weight.path: numpy(weight) for weight in source.weights}}
    for weight in model.weights:
        if weight.path in expected:
            np.testing.assert_array_equal(numpy(weight), expected[weight.path])


def change_config(folder, **changes):
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def change_weights(folder, change):
    file = folder / "model.safetensors"
    arrays = safetensors.numpy.load_file(file)
    change(arrays)
    safetensors.numpy.save_file(arrays, file)


def drop(arrays):
    del arrays["pooler/dense/bias"]


def add(arrays):
    arrays["block_9/kernel"] = np.zeros(3)


def reshape(arrays):
    arrays["pooler/dense/bias"] = np.zeros(9, "float32")


def spoil(arrays):
    arrays["pooler/dense/bias"][3] = np.nan


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop, "pooler/dense/bias is missing"),
        (add, "block_9/kernel is not of this model"),
        (reshape, r"pooler/dense/bias must be of shape \(8,\), not \(9,\)"),
        (spoil, "pooler/dense/bias holds values that are no numbers"),
    ],
)
def test_weights_that_do_not_fit_are_named(folder, change, message):
    change_weights(folder, change)
    with pytest.raises(DataError, match=f"model.safetensors do not fit the model: {message}"):
        load(folder)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), "it has no config.json"),
        (lambda folder: (folder / "config.json").write_text("{"), "must be a JSON file"),
        (lambda folder: (folder / "config.json").write_text("[]"), "must hold a JSON object"),
        (lambda folder: change_config(folder, format=2), "of format 1"),
        (lambda folder: change_config(folder, model="gpt"), "'task'.*Received: 'gpt'"),
        (lambda folder: change_config(folder, encoder={}), "is not a BERT configuration"),
        (lambda folder: change_config(folder, model="task"), "task.json must name one of"),
        (lambda folder: (folder / "model.safetensors").unlink(), "has no model.safetensors"),
        (
            lambda folder: (folder / "model.safetensors").write_bytes(b"PK"),
            "not a whole safetensors",
        ),
        (
            lambda folder: (folder / "vocab.txt").write_text("\n".join(vocabulary_of(39))),
            "vocab.txt must have the 40 pieces of the model. Received: 39",
        ),
    ],
)
def test_damage_is_named(folder, damage, message):
    damage(folder)
    with pytest.raises(DataError, match=message):
        load(folder)


def test_a_wrong_path(tmp_path):
    with pytest.raises(DataError, match="nowhere must be a checkpoint directory"):
        load(tmp_path / "nowhere")


def test_a_model_is_as_before_when_its_weights_do_not_fit(folder, config):
    from kbert.checkpoints.weights import load_weights

    change_weights(folder, spoil)
    keras.utils.set_random_seed(3)
    model = build_pretraining_model(config)
    before = model.get_weights()
    with pytest.raises(DataError):
        load_weights(folder / "model.safetensors", model)
    for ours, theirs in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
