"""Saves of a run: everything the next step depends on, whole or not at all."""

import functools
import json
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import safetensors.numpy

from kbert.checkpoints.directory import Checkpoint, load_model
from kbert.engine.optimizers import BertAdam
from kbert.engine.saving import last_save, resume, save_step, saved_steps
from kbert.engine.tensorflow import TrainingModel
from kbert.errors import DataError
from kbert.models import build_pretraining_model
from kbert.pretraining.objectives.masked_lm_next_sentence import MaskedLMNextSentence
from tests.small_store import TOKENIZER, vocabulary_of


@functools.cache
def built(config, seed):
    """Building takes longer than what the tests do with it: one model for a seed."""
    training_model = TrainingModel(build_pretraining_model(config), MaskedLMNextSentence.sums)
    training_model.compile(BertAdam(0.1))
    return training_model


@pytest.fixture
def state(tiny_config):
    """`state(seed)`: a training model with random values everywhere, and its checkpoint.

    The same model for the same seed, with the same values again.
    """

    def build(seed):
        training_model = built(tiny_config, seed)
        model = training_model.model
        training_model.data_step.assign(0)
        rng = np.random.default_rng(seed)
        for variable in [*model.weights, *training_model.optimizer.variables]:
            variable.assign(rng.integers(0, 9, variable.shape))
        training_model.loss_scale.assign(2.0**seed)
        training_model.finite_steps.assign(seed)
        tokenizer = SimpleNamespace(vocabulary=vocabulary_of(40), options=TOKENIZER)
        return training_model, Checkpoint(model, tokenizer, tiny_config)

    return build


def save_at(run, state, step, keep=3):
    training_model, checkpoint = state
    training_model.data_step.assign(step)
    return save_step(run, training_model, checkpoint, keep)


def values(training_model):
    counters = (training_model.data_step, training_model.loss_scale, training_model.finite_steps)
    variables = [*training_model.model.weights, *training_model.optimizer.variables, *counters]
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def test_everything_comes_back(tmp_path, state):
    saved, other = state(1), state(2)
    folder = save_at(tmp_path, saved, 500)
    assert folder == tmp_path / "steps" / "00000500"
    assert resume(tmp_path, other[0]) == (500, [])
    for ours, theirs in zip(values(saved[0]), values(other[0]), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_save_is_a_checkpoint(tmp_path, state):
    saved = state(1)
    model, config, task = load_model(save_at(tmp_path, saved, 7))
    assert (config, task) == (saved[1].config, None)
    for ours, theirs in zip(model.get_weights(), saved[1].model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_nothing_to_resume(tmp_path, state):
    training_model, _ = state(1)
    before = values(training_model)
    assert resume(tmp_path, training_model) == (0, [])
    assert last_save(tmp_path) == "none: the run had not saved yet"
    for ours, theirs in zip(before, values(training_model), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_newest_few_are_kept(tmp_path, state):
    saved = state(1)
    copied = tmp_path / "steps" / "00000009.bak"  # By a person.
    copied.mkdir(parents=True)
    for step in (9, 10, 99, 100, 1000):
        save_at(tmp_path, saved, step, keep=3)
    assert [folder.name for folder in saved_steps(tmp_path)] == ["00000099", "00000100", "00001000"]
    assert len(list((tmp_path / "steps").iterdir())) == 3 + 1 and copied.exists()


def test_saves_behind_the_run_are_no_reason_to_drop_its_own(tmp_path, state):
    """Of steps 2 and 3 the last is damaged: the run goes on from 2, and keeps what it saves."""
    saved = state(1)
    for step in (1, 2, 3):
        save_at(tmp_path, saved, step)
    (tmp_path / "steps" / "00000003" / "model.safetensors").write_bytes(b"")
    assert resume(tmp_path, state(2)[0])[0] == 2
    save_at(tmp_path, saved, 3 - 1, keep=1)
    assert [folder.name for folder in saved_steps(tmp_path)] == ["00000002", "00000003"]
    assert resume(tmp_path, state(3)[0])[0] == 2


def test_the_same_step_again_replaces_it(tmp_path, state):
    save_at(tmp_path, state(1), 5)
    second = state(2)
    save_at(tmp_path, second, 5)
    third = state(3)
    assert resume(tmp_path, third[0]) == (5, [])
    np.testing.assert_array_equal(values(third[0])[0], values(second[0])[0])


def test_damage_in_the_state_is_named(tmp_path, state):
    """Without checksums, as older versions saved; the run goes on from the save before."""
    saved, target = state(1), state(2)[0]
    save_at(tmp_path, saved, 10)
    folder = save_at(tmp_path, saved, 20)
    file, name = folder / "training.safetensors", "optimizer/3"
    arrays = safetensors.numpy.load_file(file)
    (folder / "config.json").write_text(without_checksums(folder / "config.json"))

    def complaint(**changes):
        safetensors.numpy.save_file({**arrays, **changes}, file)
        step, complaints = resume(tmp_path, target)
        assert step == 10
        return complaints[0]

    broken = arrays[name].copy()
    broken.flat[0] = np.nan
    assert f"{name} holds NaN or infinity" in complaint(**{name: broken})
    broken.flat[0] = -np.inf
    assert f"{name} holds NaN or infinity" in complaint(**{name: broken})
    assert f"{name} must be of shape" in complaint(**{name: arrays[name][:1]})
    assert f"{name} must be one of F16" in complaint(**{name: arrays[name].astype("int32")})
    assert "is of step 30" in complaint(data_step=np.asarray(30, arrays["data_step"].dtype))
    assert "must be whole numbers" in complaint(data_step=np.asarray(20, "float32"))
    safetensors.numpy.save_file(arrays, file)
    assert resume(tmp_path, target) == (20, [])


def without_checksums(file):
    description = json.loads(file.read_text())
    del description["checksums"]
    return json.dumps(description)


def flip(file):
    raw = bytearray(file.read_bytes())
    raw[-2] ^= 1
    file.write_bytes(raw)


def truncate(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def empty(file):
    file.write_bytes(b"")


def remove(file):
    file.unlink()


def scribble(file):
    file.write_bytes(b"\xff" * file.stat().st_size)


@pytest.mark.parametrize("name", ["model.safetensors", "training.safetensors"])
@pytest.mark.parametrize("damage", [flip, truncate, empty, remove, scribble])
def test_a_damaged_save_falls_back_to_the_one_before(tmp_path, state, name, damage):
    good, newer, target = state(1), state(2), state(3)
    save_at(tmp_path, good, 10)
    folder = save_at(tmp_path, newer, 20)
    damage(folder / name)
    step, complaints = resume(tmp_path, target[0])
    assert step == 10
    assert len(complaints) == 1 and str(folder) in complaints[0]
    for ours, theirs in zip(values(good[0]), values(target[0]), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_when_all_are_damaged_the_run_is_not_begun_anew(tmp_path, state):
    for step in (10, 20):
        truncate(save_at(tmp_path, state(1), step) / "model.safetensors")
    with pytest.raises(DataError, match="00000020 cannot be resumed.*00000010 cannot be resumed"):
        resume(tmp_path, state(2)[0])


def test_a_half_written_save_is_not_seen(tmp_path, state, monkeypatch):
    """Whatever stops the writer between the two files, the newest whole save is resumed."""
    saved = state(1)
    save_at(tmp_path, saved, 10)

    def stop(path, arrays):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("kbert.engine.saving.write_arrays", stop)
        with pytest.raises(KeyboardInterrupt):
            save_at(tmp_path, saved, 20)
    assert [folder.name for folder in saved_steps(tmp_path)] == ["00000010"]
    assert resume(tmp_path, state(2)[0]) == (10, [])
    save_at(tmp_path, saved, 20)  # the leftover is no obstacle
    assert resume(tmp_path, state(2)[0]) == (20, [])


def test_another_optimizers_state_is_refused(tmp_path, state, tiny_config):
    save_at(tmp_path, state(1), 10)
    other = TrainingModel(build_pretraining_model(tiny_config), MaskedLMNextSentence.sums)
    other.compile(keras.optimizers.SGD(0.1))
    with pytest.raises(DataError, match="training.safetensors is of another optimizer"):
        resume(tmp_path, other)


def test_weights_that_are_no_numbers_are_not_resumed(tmp_path, state):
    save_at(tmp_path, state(1), 10)
    broken = state(2)
    broken[1].model.weights[0].assign(np.full(broken[1].model.weights[0].shape, np.nan))
    save_at(tmp_path, broken, 20)
    step, complaints = resume(tmp_path, state(3)[0])
    assert step == 10 and "NaN" in complaints[0]
