"""Real exports behind the server: the answers of the predictor, newer and broken versions."""

import gc
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import urllib.request

import numpy as np
import pytest
import tensorflow as tf
from starlette.testclient import TestClient
from tensorflow.python.eager import context

from apps.serve import read_token
from kbert import Predictor
from kbert.errors import DataError
from kbert.serving import models as module
from kbert.serving.checkpoint_or_export import load_answerer
from kbert.serving.http.app import application
from kbert.serving.models import Models, UnknownModel, served_names
from kbert.serving.settings import ServerSettings
from kbert.serving.versions import is_export
from tests.conftest import ROOT

TEXTS = ["the film was good", "", "今天天气很好", "bad music " * 20, "we saw it , !"]


def test_answers_are_the_predictors(single, pairs, pretrained):
    models = Models({"single": single[1], "pairs": pairs[1], "encoder": pretrained[1]})
    with TestClient(application(models)) as client:

        def ask(name, instances):
            body = {"instances": instances}
            return client.post(f"/v1/models/{name}:predict", json=body).json()["predictions"]

        assert_alike(ask("single", TEXTS), Predictor(single[1]).predict(TEXTS))
        two = [{"text": text, "second": text[::-1]} for text in TEXTS]
        assert_alike(ask("pairs", two), Predictor(pairs[1]).predict(two))
        vectors = [answer["embedding"] for answer in Predictor(pretrained[1]).predict(TEXTS)]
        body = {"model": "encoder", "input": TEXTS}
        found = client.post("/v1/embeddings", json=body).json()["data"]
        np.testing.assert_allclose([item["embedding"] for item in found], vectors, atol=1e-5)


def assert_alike(found, expected):
    """Labels are equal, numbers as close as another batch lets them be."""
    for one, other in zip(found, expected, strict=True):
        assert one["label"] == other["label"]
        for label, probability in other["probabilities"].items():
            assert one["probabilities"][label] == pytest.approx(probability, abs=1e-5)


def test_a_newer_version_takes_over_and_a_broken_one_does_not(single, tmp_path, caplog):
    folder = tmp_path / "films"
    shutil.copytree(single[1] / "1", folder / "1")
    models = Models({"films": folder})
    old = models.get("films")
    assert old.version == 1
    shutil.copytree(single[1] / "1", folder / "7")
    models.refresh()
    assert models.get("films").version == models.get("films", 7).version == 7
    assert old.predict(["film"])  # Whoever holds the old one is answered.
    with pytest.raises(UnknownModel, match="no model films, version 1. Served: films .version 7."):
        models.get("films", 1)
    shutil.copytree(single[1] / "1", folder / "8")
    (folder / "8" / "variables" / "variables.index").write_bytes(b"damaged")
    with caplog.at_level(logging.ERROR, "kbert.serving"):
        models.refresh()
        models.refresh()
    assert models.get("films").version == 7
    assert [record.message.split(" cannot")[0] for record in caplog.records] == ["films: version 8"]
    # It was not whole yet.
    shutil.copytree(single[1] / "1", folder / "8", dirs_exist_ok=True)
    models.refresh()
    assert models.get("films").version == 8


@pytest.mark.slow
def test_a_version_that_is_replaced_leaves_nothing(single, tmp_path):
    """What a version brings to TensorFlow goes with it: the functions of its graphs, and its
    session."""

    def held():
        gc.collect()
        sessions = [o for o in gc.get_objects() if isinstance(o, tf.compat.v1.Session)]
        return len(context.context().list_function_names()), len(sessions)

    shutil.copytree(single[1] / "1", tmp_path / "1")
    models = Models({"films": tmp_path})
    counts = []
    for version in ("2", "3", "4"):
        shutil.copytree(single[1] / "1", tmp_path / version)
        models.refresh()
        models.get("films").predict(TEXTS)
        counts.append(held())
    assert models.get("films").version == 4
    assert counts[0] == counts[1] == counts[2] and counts[0][1] >= 1


@pytest.mark.parametrize("checked", [True, False])
def test_damaged_variables_are_a_sentence(single, tmp_path, checked):
    """With the checksums of an export, and as TensorFlow finds it without them."""
    shutil.copytree(single[1] / "1", tmp_path / "1")
    (tmp_path / "1" / "variables" / "variables.index").write_bytes(b"damaged")
    if not checked:
        config = tmp_path / "1" / "assets" / "config.json"
        values = json.loads(config.read_text())
        config.write_text(json.dumps({k: v for k, v in values.items() if k != "checksums"}))
    with pytest.raises(DataError, match="variables.index|can be loaded"):
        Models({"x": tmp_path})


def test_names_are_the_folders():
    assert list(served_names(["a/topics", "b/names/3"])) == ["topics", "names"]
    with pytest.raises(DataError, match="Two models would be called 'topics'"):
        served_names(["a/topics", "b/topics/1"])
    assert list(served_names(["hf:owner/checkpoint"])) == ["checkpoint"]
    with pytest.raises(DataError, match="a name without ':'"):
        served_names(["a/to:pics"])


def test_the_command_serves_until_it_is_told_to_stop(single):
    process = subprocess.Popen(
        [sys.executable, "-m", "apps.serve", single[1], "--port", "0", "--log", "json"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line, tried = process.stdout.readline(), process.stdout.readline()
        assert line.startswith("single, version 1: http://127.0.0.1:")
        assert 'Try: curl -d \'{"instances": [{"text": ' in tried
        url = f"{line.split(': ', 1)[1].strip()}:predict"
        with urllib.request.urlopen(url, json.dumps({"instances": TEXTS}).encode(), 60) as found:
            answers = json.load(found)["predictions"]
        assert_alike(answers, Predictor(single[1]).predict(TEXTS))
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=30)
        lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
        assert [line["status"] for line in lines if "status" in line] == [200]
        assert "film" not in log and "Traceback" not in log
        assert process.returncode == 143
    finally:
        process.kill()


def test_a_published_repository_with_an_onnx_folder_is_no_export(tmp_path):
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model.onnx").write_bytes(b"")
    assert not is_export(tmp_path)
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "model.onnx").write_bytes(b"")
    assert is_export(tmp_path)


@pytest.mark.parametrize("folder", ["empty", "missing"])
def test_what_is_no_export_is_refused(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="must be what `kbert export` wrote"):
        Models({"x": tmp_path / folder})


def test_settings_that_cannot_be():
    with pytest.raises(DataError, match="port must be in"):
        ServerSettings(port=65536)


def test_a_version_whose_files_come_and_go_does_not_end_the_watch(single, tmp_path, monkeypatch):
    """As one that rsync writes: a temporary name is gone when it is looked at."""
    shutil.copytree(single[1] / "1", tmp_path / "films" / "1")
    served = Models({"films": tmp_path / "films"})
    shutil.copytree(single[1] / "1", tmp_path / "films" / "2")

    def gone(path):
        raise FileNotFoundError(path)

    with monkeypatch.context() as patched:
        patched.setattr(module, "state_of", gone)
        served.refresh()
    assert served.get("films").version == 1
    served.refresh()
    assert served.get("films").version == 2


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"secret\n", "secret"), (b"", None), (b"one\ntwo\n", None), (b"\xff\xfe", None)],
)
def test_the_file_of_a_token(tmp_path, content, expected):
    (tmp_path / "token").write_bytes(content)
    if expected is not None:
        assert read_token(tmp_path / "token") == expected
        return
    with pytest.raises(DataError, match="token must hold one token of ASCII characters"):
        read_token(tmp_path / "token")


def test_an_encoder_is_no_model_to_predict_with(pretrained):
    with pytest.raises(DataError, match="is not fine-tuned: it answers embedding"):
        load_answerer(pretrained[1])
