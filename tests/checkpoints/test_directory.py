"""Checkpoint directories: what is saved comes back, and what does not fit is named."""

import dataclasses
import json
import os
import shutil
import sys

import keras
import numpy as np
import pytest
import safetensors.numpy

from kbert import Checkpoint, WordPieceTokenizer, load, save
from kbert.checkpoints.directory import (
    checked,
    copy_weights,
    encoder_of,
    load_config,
    load_model,
    load_task,
)
from kbert.config import BertConfig
from kbert.errors import DataError
from kbert.models import build_encoder, build_pretraining_model
from kbert.tasks.classification import ClassificationTask
from tests.layers.contract import numpy
from tests.reference_bert import random_inputs, randomized
from tests.small_store import vocabulary_of

TASK = ClassificationTask(labels=("no", "yes"), sequence_length=12)
_FEATURES = {"features": "embeddings", "head": "bilstm", "lstm_size": 2}
TASKS = {"task": TASK, "task on features": dataclasses.replace(TASK, **_FEATURES)}
KINDS = ("encoder", "pretraining", *TASKS)


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
        **{kind: task.build_model(build_encoder(config)) for kind, task in TASKS.items()},
    }
    for model in models.values():
        randomized(model)
    return {
        kind: Checkpoint(model, tokenizer, config, TASKS.get(kind))
        for kind, model in models.items()
    }


@pytest.fixture
def folder(tmp_path, checkpoints):
    """The pre-training checkpoint on disk."""
    save(tmp_path / "checkpoint", checkpoints["pretraining"])
    return tmp_path / "checkpoint"


@pytest.fixture
def unchecked(folder):
    """The same as older versions wrote it, without checksums."""
    description = json.loads((folder / "config.json").read_text())
    del description["checksums"]
    (folder / "config.json").write_text(json.dumps(description))
    return folder


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


def shown(folder):
    """What a checkpoint would answer with: its labels, or None, and the sum of its weights."""
    task, weights = load_task(folder), checked(folder, "model.safetensors")
    arrays = safetensors.numpy.load_file(weights)
    return task and task.labels, sum(float(array.sum()) for array in arrays.values())


class Moments:
    """Copies a folder whenever Python is about to change something in it."""

    def __init__(self):
        self.watched = None
        sys.addaudithook(self._hook)

    def watch(self, folder, copies):
        self.watched, self.copies, self.count = folder, copies, 0

    def _hook(self, event, arguments):
        changes = event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod")
        if self.watched and (changes or (event == "open" and arguments[1] not in ("r", "rb"))):
            folder, self.watched = self.watched, None
            shutil.copytree(folder, self.copies / str(self.count))
            self.count, self.watched = self.count + 1, folder


MOMENTS = Moments()  # An audit hook stays for ever: one for all tests.


@pytest.mark.parametrize("killed_before", [False, True])
@pytest.mark.parametrize(
    "kinds", [("task", "other task"), ("task", "encoder"), ("encoder", "task")]
)
def test_old_or_new_at_every_moment(tmp_path, checkpoints, kinds, killed_before):
    """As a reader finds it if the writer is killed there; what is not the checkpoint's stays."""
    other = TASK.build_model(build_encoder(checkpoints["task"].config))
    randomized(other, seed=5)
    renamed = dataclasses.replace(TASK, labels=("alpha", "cooking"))
    both = {**checkpoints, "other task": checkpoints["task"]._replace(model=other, task=renamed)}
    folder, copies = tmp_path / "run", tmp_path / "copies"
    answers = []
    for kind in reversed(kinds):
        save(tmp_path / kind, both[kind])
        answers.insert(0, shown(tmp_path / kind))
    save(folder, both[kinds[0]])
    (folder / "steps" / "00000500").mkdir(parents=True)
    (folder / "pooling.json").write_text("{}")
    if killed_before:  # When the new files were valid, but at their places only in part.
        shutil.copytree(tmp_path / kinds[0], folder / ".ready")
        (folder / "vocab.txt").unlink()
        os.replace(folder / ".ready" / "vocab.txt", folder / "vocab.txt")
    MOMENTS.watch(folder, copies)
    save(folder, both[kinds[1]])
    MOMENTS.watched = None
    found = [shown(copies / str(number)) for number in range(MOMENTS.count)]
    changed = found.index(answers[1])
    assert answers[0] != answers[1]
    assert found == [answers[0]] * changed + [answers[1]] * (len(found) - changed)
    assert changed > 5 and len(found) - changed > 2
    for copy in [*copies.iterdir(), folder]:
        assert (copy / "steps" / "00000500").is_dir() and (copy / "pooling.json").is_file()
    assert {file.name for file in folder.iterdir()} - {"steps", "pooling.json"} == {
        file.name for file in (tmp_path / kinds[1]).iterdir()
    }


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


@pytest.mark.parametrize("kind", KINDS[:3])
def test_encoder_of_any_kind(checkpoints, config, kind):
    checkpoint = checkpoints[kind]
    changed = dataclasses.replace(checkpoint.config, dropout=0.5)
    encoder = encoder_of(checkpoint._replace(config=changed))
    assert encoder.get_layer("embedding").dropout == 0.5
    source = {weight.path: numpy(weight) for weight in checkpoint.model.weights}
    for weight in encoder.weights:
        np.testing.assert_array_equal(numpy(weight), source[weight.path])
    ones = {name: np.ones((1, 4), "int32") for name in encoder.input}
    states = encoder_of(checkpoint, ("hidden_states",))(ones)["hidden_states"]
    assert len(states) == config.num_layers + 1
    expected = encoder_of(checkpoint)(ones)["sequence_output"]
    np.testing.assert_allclose(numpy(states[-1]), numpy(expected), atol=1e-6)


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


def test_an_older_checkpoint_is_read(unchecked, checkpoints):
    for ours, theirs in zip(
        load(unchecked).model.get_weights(),
        checkpoints["pretraining"].model.get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)


def drop(arrays):
    del arrays["pooler/dense/bias"]


def add(arrays):
    arrays["block_9/kernel"] = np.zeros(3)


def reshape(arrays):
    arrays["pooler/dense/bias"] = np.zeros(9, "float32")


def spoil(arrays):
    arrays["pooler/dense/bias"][3] = np.nan


def overflow(arrays):
    arrays["pooler/dense/bias"][:2] = np.inf, -np.inf


def as_type(dtype):
    def change(arrays):
        arrays["pooler/dense/bias"] = arrays["pooler/dense/bias"].astype(dtype)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop, "pooler/dense/bias is missing"),
        (add, "block_9/kernel is not of this model"),
        (reshape, r"pooler/dense/bias must be of shape \(8,\), not \(9,\)"),
        (spoil, "pooler/dense/bias holds NaN or infinity"),
        (overflow, "pooler/dense/bias holds NaN or infinity"),
        (as_type("int32"), "pooler/dense/bias must be one of F16, BF16, F32, F64, not I32"),
        (as_type("bool"), "pooler/dense/bias must be one of F16, BF16, F32, F64, not BOOL"),
        (as_type("complex64"), "pooler/dense/bias must be one of F16, BF16, F32, F64, not C64"),
    ],
)
def test_weights_that_do_not_fit_are_named(unchecked, change, message):
    change_weights(unchecked, change)
    with pytest.raises(DataError, match=f"model.safetensors do not fit the model: {message}"):
        load(unchecked)


def test_weights_that_are_all_zero(unchecked):
    change_weights(unchecked, lambda arrays: [array.fill(0) for array in arrays.values()])
    with pytest.raises(DataError, match="model.safetensors are all 0"):
        load(unchecked)


@pytest.mark.parametrize("dtype", ["float16", "float64", "bfloat16"])
def test_floating_point_of_any_width(unchecked, dtype):
    bias = np.linspace(-1, 1, 8).astype(dtype)
    change_weights(unchecked, lambda arrays: arrays.update({"pooler/dense/bias": bias}))
    found = load(unchecked).model.get_layer("pooler").dense.bias
    np.testing.assert_array_equal(numpy(found), bias.astype("float32"))


@pytest.mark.parametrize("name", ["task.json", "vocab.txt", "model.safetensors"])
def test_a_flipped_bit_is_found(tmp_path, checkpoints, name):
    save(tmp_path, checkpoints["task"])
    file, rng = tmp_path / name, np.random.default_rng(0)
    whole = file.read_bytes()
    for place, bit in zip(rng.integers(len(whole), size=20), rng.integers(8, size=20), strict=True):
        raw = bytearray(whole)
        raw[place] ^= 1 << bit
        file.write_bytes(raw)
        with pytest.raises(DataError, match=f"{name} is damaged, or of another version"):
            load(tmp_path)


def test_a_number_of_the_description_is_found(folder):
    file = folder / "config.json"
    file.write_text(file.read_text().replace('"num_heads": 2', '"num_heads": 4'))
    with pytest.raises(DataError, match='config.json is damaged.*remove "config.json" there'):
        load(folder)
    description = json.loads(file.read_text())
    del description["checksums"]["config.json"]
    file.write_text(json.dumps(description))
    assert load(folder).config.num_heads == 4


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), "it has no config.json"),
        (lambda folder: (folder / "config.json").write_text("{"), "must be a JSON file"),
        (lambda folder: (folder / "config.json").write_text("[]"), "must hold a JSON object"),
        (lambda folder: change_config(folder, format=2), "of format 1"),
        (lambda folder: change_config(folder, model="gpt"), "'task'.*Received: 'gpt'"),
        (lambda folder: change_config(folder, encoder={}), "is not a BERT configuration"),
        (lambda folder: change_config(folder, model="task"), "has no task.json"),
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
def test_damage_is_named(unchecked, damage, message):
    damage(unchecked)
    with pytest.raises(DataError, match=message):
        load(unchecked)


def test_a_wrong_path(tmp_path):
    with pytest.raises(DataError, match="There is no folder .*nowhere"):
        load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_layers", 10**9),
        ("hidden_dim", 10**9),
        ("intermediate_dim", 10**9),
        ("vocabulary_size", 10**9),
        ("max_sequence_length", 10**9),
        ("num_segments", 10**9),
    ],
)
def test_a_model_that_the_weights_cannot_fill_is_not_built(unchecked, config, field, value):
    change_config(unchecked, encoder={**config.to_dict(), field: value})
    with pytest.raises(DataError, match="model.safetensors must hold the weights that its config"):
        load_model(unchecked)


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
