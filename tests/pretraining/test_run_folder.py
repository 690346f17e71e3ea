"""Whose a folder is: a new run's, the same run's, or somebody else's, which is left as it was."""

import dataclasses
import json
import os

import pytest

from kbert import BertConfig
from kbert.corpus.store import TokenStore
from kbert.errors import DataError
from kbert.pretraining.run_folder import claim
from kbert.pretraining.settings import PretrainingSettings
from tests.small_store import random_documents, write_store

SETTINGS = PretrainingSettings(num_steps=12)


@pytest.fixture(scope="module")
def store(tiny_store):
    return TokenStore(tiny_store)


@pytest.fixture(scope="module")
def config(store):
    return BertConfig(len(store.vocabulary), num_layers=1, num_heads=2, hidden_dim=8)


@pytest.fixture
def run(tmp_path, store, config):
    """A run's folder, claimed."""
    claim(tmp_path / "run", store, config, SETTINGS)
    return tmp_path / "run"


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_the_same_run_goes_on(run, store, config):
    before = contents(run)
    claim(run, store, config, SETTINGS)
    assert contents(run) == before and list(before) == ["run.json"]


def test_other_settings_and_another_model_are_refused(run, store, config):
    before = contents(run)
    other = dataclasses.replace(SETTINGS, learning_rate=2e-2, seed=1)
    with pytest.raises(DataError, match="learning_rate was 0.0001, now 0.02; seed was 0, now 1"):
        claim(run, store, config, other)
    with pytest.raises(DataError, match="hidden_dim was 8, now 16"):
        claim(run, store, dataclasses.replace(config, hidden_dim=16), SETTINGS)
    assert contents(run) == before


def test_a_setting_that_run_json_does_not_know_had_its_default(run, store, config):
    """A run that an older version began is resumed, but not with other settings."""
    told = json.loads((run / "run.json").read_text())
    for name in ("objective", "masking", "final_masking_rate"):
        del told["settings"][name]
    (run / "run.json").write_text(json.dumps(told))
    claim(run, store, config, SETTINGS)
    other = dataclasses.replace(SETTINGS, objective="masked-lm")
    with pytest.raises(DataError, match="objective was 'masked-lm-next-sentence', now 'masked-lm'"):
        claim(run, store, config, other)


def test_another_teacher_in_the_same_folder_is_refused(tmp_path, store, config):
    """One that an older version began is taken to have this teacher."""
    settings = dataclasses.replace(SETTINGS, teacher="big", teacher_share=0.5)
    run = tmp_path / "taught"
    claim(run, store, config, settings, teacher="crc32:1")
    claim(run, store, config, settings, teacher="crc32:1")
    with pytest.raises(DataError, match="teacher_weights was 'crc32:1', now 'crc32:2'"):
        claim(run, store, config, settings, teacher="crc32:2")
    told = json.loads((run / "run.json").read_text())
    del told["settings"]["teacher_weights"]
    (run / "run.json").write_text(json.dumps(told))
    claim(run, store, config, settings, teacher="crc32:2")


def test_other_text_is_refused(run, config, tmp_path, tiny_vocabulary):
    """A resumed run would draw other rows than the one that was stopped."""
    documents = random_documents(12, len(tiny_vocabulary), seed=7)
    other = TokenStore(write_store(tmp_path / "other", documents, documents, tiny_vocabulary))
    with pytest.raises(DataError, match="tokens was .*, now "):
        claim(run, other, config, SETTINGS)


@pytest.mark.parametrize("name", ["notes.txt", "config.json", "logs"])
def test_files_of_something_else_are_refused(tmp_path, store, config, name):
    (tmp_path / name).write_text("precious")
    with pytest.raises(DataError, match="files that are not of a pre-training run.*--output"):
        claim(tmp_path, store, config, SETTINGS)
    assert contents(tmp_path) == {name: "precious"}


def test_a_run_over_which_a_model_was_fine_tuned_is_refused(run, store, config):
    (run / "task.json").write_text("{}")
    with pytest.raises(DataError, match="not of a pre-training run"):
        claim(run, store, config, SETTINGS)


def test_what_the_system_leaves_is_no_file(tmp_path, store, config):
    (tmp_path / ".DS_Store").write_text("")
    claim(tmp_path, store, config, SETTINGS)
    assert (tmp_path / "run.json").exists()


def test_more_steps_than_a_finished_run_has_are_another_run(run, store, config):
    more = dataclasses.replace(SETTINGS, num_steps=20)
    with pytest.raises(DataError, match="num_steps was 12, now 20"):
        claim(run, store, config, more)
    (run / "model.safetensors").write_bytes(b"")  # the last file of a finished run
    with pytest.raises(DataError, match=f"finished after 12 steps.*--from {run} --output ANOTHER"):
        claim(run, store, config, more)


@pytest.mark.parametrize("text", ["{", "[]", '{"config": 5}', '{"config": {}, "settings": []}'])
def test_a_damaged_run_file_is_a_sentence(run, store, config, text):
    (run / "run.json").write_text(text)
    with pytest.raises(DataError, match="run.json"):
        claim(run, store, config, SETTINGS)


def test_a_folder_that_may_not_be_written_is_an_error_of_the_system(tmp_path, store, config):
    if os.geteuid() == 0:
        pytest.skip("the superuser may write everywhere")
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError):
        claim(tmp_path / "run", store, config, SETTINGS)
