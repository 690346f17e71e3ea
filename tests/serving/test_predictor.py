"""The predictor: which folder it loads, what it takes, what it refuses."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from kbert import (
    MultiLabelTask,
    Predictor,
    QuestionAnsweringTask,
    RegressionTask,
    TaggingTask,
    build_encoder,
    encoder_of,
)
from kbert.errors import DataError
from kbert.inference.answerer import Answerer
from kbert.serving import export
from kbert.serving.versions import newest_version
from tests.conftest import ROOT
from tests.serving.conftest import CONFIG, exported


@pytest.fixture(scope="module")
def predictor(single):
    return Predictor(single[1], batch_size=4)


def test_long_lists_are_answered_in_order(predictor):
    texts = [" ".join(["good film music".split()[i % 3]] * (i % 7)) for i in range(30)]
    answers = predictor.predict(texts)
    for text, answer in zip(texts, answers, strict=True):
        (alone,) = predictor.predict([{"text": text}])
        assert answer["label"] == alone["label"]
        assert answer["probabilities"] == pytest.approx(alone["probabilities"], abs=1e-6)
    json.dumps(answers)


WITHOUT_KERAS = """
import json, sys
sys.modules["tensorflow_text"] = None
from kbert import predict
print(json.dumps(predict(sys.argv[1], ["a good film", ""])))
assert "keras" not in sys.modules and len(sys.modules) < 2000
import keras, tensorflow
assert tensorflow.keras.layers.Dense is keras.layers.Dense
"""


def test_a_process_answers_without_keras_and_most_of_tensorflow(single, predictor):
    """Which would take most of a first answer's time; whoever wants them then finds them."""
    finished = subprocess.run(
        [sys.executable, "-c", WITHOUT_KERAS, single[1]],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    found, expected = json.loads(finished.stdout), predictor.predict(["a good film", ""])
    assert [answer["label"] for answer in found] == [answer["label"] for answer in expected]


def test_answers_are_plain_values(predictor):
    (answer,) = predictor.predict(["今天天气很好"])
    assert answer["label"] in ("bad", "good", "中性")
    assert len(answer["probabilities"]) == 3
    assert answer["score"] == max(answer["probabilities"].values())
    assert predictor.predict([]) == []
    assert list(answer["probabilities"]) == ["bad", "good", "中性"]


def test_text_that_is_not_unicode(predictor):
    # Half of a surrogate pair, which JSON can spell: dropped, as any invalid character.
    half, plain = predictor.predict(["go\ud800od film", "good film"])
    assert half["probabilities"] == pytest.approx(plain["probabilities"], abs=1e-6)


def test_pairs(pairs):
    predictor = Predictor(pairs[1])
    assert predictor.fields == ("text", "second")
    there, back = predictor.predict(
        [{"text": "the film", "second": "was bad"}, {"second": "the film", "text": "was bad"}]
    )
    assert there["probabilities"] != pytest.approx(back["probabilities"], abs=1e-4)


@pytest.mark.parametrize(
    ("instances", "expected"),
    [
        ("a text", "Expected a list of instances. Received: 'a text'"),
        ([5], 'Instance 0: expected a text or {"text": "..."}. Received: 5'),
        (["a", None], "Instance 1: expected a text"),
        ([b"bytes"], "Instance 0: expected a text"),
        ([{"text": 5}], "Instance 0: expected a text"),
        ([{}], "Instance 0: expected a text"),
        ([{"text": "a", "second": "b"}], "Instance 0: expected a text"),
        ([{"text": "a", 1: "b"}], "Instance 0: expected a text"),
        ([["a"]], "Instance 0: expected a text"),
        (["a", {"txt": 99 * "x"}], r"Instance 1: .*xxx \.\.\."),
    ],
)
def test_instances_that_are_refused(predictor, instances, expected):
    with pytest.raises(DataError, match=expected.replace("{", "[{]")):
        predictor.predict(instances)


LONG = "the film was good and we saw it. " * 9
TASKS = [
    (
        TaggingTask(labels=("LOC", "PER"), crf=True, valid_tags=True, sequence_length=16),
        (LONG, "今天"),
    ),
    (
        QuestionAnsweringTask(
            sequence_length=24, stride=8, max_question_length=6, unanswerable=True, n_best=3
        ),
        ({"question": "who saw it?", "context": LONG}, {"text": "who?", "second": "we"}),
    ),
    pytest.param(
        MultiLabelTask(labels=("a", "b", "c"), sequence_length=16),
        ("the film", LONG),
        marks=pytest.mark.slow,
    ),
    pytest.param(
        RegressionTask(mean=3.0, deviation=2.0, sequence_length=16),
        ("the film", LONG),
        marks=pytest.mark.slow,
    ),
]


@pytest.fixture(params=["export", "older export"])
def version(request, monkeypatch):
    """What is exported: as today, or as before there were `model_outputs` and checksums."""
    if request.param == "older export":
        signatures = export._ServedModel.signatures
        monkeypatch.setattr(
            export._ServedModel,
            "signatures",
            lambda served: {"serving_default": signatures(served)["model_outputs"]},
        )
        monkeypatch.setattr(export, "write_index", lambda folder: None)
    return request.param


@pytest.mark.parametrize("version", ["older export"], indirect=True)
@pytest.mark.parametrize(("task", "instances"), TASKS)
def test_answers_of_every_task_are_the_checkpoint_s(task, instances, tmp_path, version):
    """Windows, entities, answers' texts: also what no graph computes. Empty texts have answers."""
    model = task.build_model(build_encoder(CONFIG))
    checkpoint, folder = exported(tmp_path, model, task)
    instances = [*instances, ""]
    expected = Answerer(task, checkpoint.tokenizer, model).predict(instances)
    found = Predictor(folder).predict(instances)
    assert rounded(found) == rounded(expected)
    assert len(expected) == 3


def rounded(value):
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return list(map(rounded, value))
    return pytest.approx(value, abs=1e-5) if isinstance(value, float) else value


def test_an_encoder_answers_vectors(pretrained, tmp_path, version):
    checkpoint = pretrained[0]
    folder = export.export_saved_model(tmp_path, checkpoint, answers="embedding")
    if version == "older export":
        (folder / "assets" / "task.json").unlink()
    short, long = Predictor(folder).predict(["bad", "the film was good"])
    # Without the padding of the batch, which depends on the other texts.
    assert (len(short["sequence_output"]), len(long["sequence_output"])) == (3, 6)
    expected = encoder_of(checkpoint)(checkpoint.tokenizer("bad"))
    for name in ("sequence_output", "pooled_output"):
        assert np.asarray(short[name]) == pytest.approx(expected[name][0].numpy(), abs=1e-5)


@pytest.mark.parametrize("instance", ["a", {"text": "a"}, {"text": "a", "second": None}])
def test_pairs_that_are_refused(pairs, instance):
    expected = (
        'Instance 0: expected two texts with one tab .* or [{]"text": "...", "second": "..."}. '
    )
    with pytest.raises(DataError, match=expected):
        Predictor(pairs[1]).predict([instance])


def test_the_newest_version_is_loaded(tmp_path):
    for name in ("2", "10", ".11.tmp", "x", "12"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").touch()
    (tmp_path / "12" / "saved_model.pb").unlink()  # a number, but no model
    assert newest_version(tmp_path) == tmp_path / "10"
    assert newest_version(tmp_path / "2") == tmp_path / "2"
    with pytest.raises(DataError, match="must be what `kbert export` wrote"):
        newest_version(tmp_path / "nothing")


def test_one_version_can_be_named(single, predictor):
    assert predictor.version == 1
    assert Predictor(single[1] / "1").version == 1


def test_folders_that_cannot_be_loaded(single, tmp_path):
    shutil.copytree(single[1], tmp_path / "damaged")
    (tmp_path / "damaged" / "1" / "saved_model.pb").write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match="saved_model.pb is damaged"):
        Predictor(tmp_path / "damaged")
    # As older versions exported, without checksums.
    (tmp_path / "damaged" / "1" / "assets" / "config.json").unlink()
    with pytest.raises(DataError, match="saved_model.pb is not a SavedModel"):
        Predictor(tmp_path / "damaged")
    shutil.copytree(single[1], tmp_path / "incomplete")
    shutil.rmtree(tmp_path / "incomplete" / "1" / "variables")
    with pytest.raises(DataError, match="variables.* is missing"):
        Predictor(tmp_path / "incomplete")
    other = tf.Module()
    other.double = tf.function(lambda x: 2 * x, [tf.TensorSpec([None], tf.float32, "x")])
    tf.saved_model.save(other, str(tmp_path / "other"), signatures=other.double)
    with pytest.raises(DataError, match="no signature model_outputs: expected what"):
        Predictor(tmp_path / "other")


def test_an_older_export_of_other_weights(single, tmp_path, monkeypatch):
    monkeypatch.setattr("kbert.serving.saved_model.MODEL_OUTPUTS", "as if it were older")
    shutil.copytree(single[1] / "1", tmp_path / "1")
    config = tmp_path / "1" / "assets" / "config.json"
    values = json.loads(config.read_text())
    del values["checksums"]
    values["encoder"]["num_layers"] = 1
    config.write_text(json.dumps(values))
    with pytest.raises(DataError, match="other weights than its model has: export it again"):
        Predictor(tmp_path)


def test_batch_size_is_checked(single):
    with pytest.raises(DataError, match="must be at least 1"):
        Predictor(single[1], batch_size=0)
