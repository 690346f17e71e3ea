"""The predictor: which folder it loads, what it takes, what it refuses."""

import json
import shutil

import pytest
import tensorflow as tf

from kbert import Predictor
from kbert.errors import DataError
from kbert.serving.predictor import newest_version


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


def test_answers_are_plain_values(predictor):
    (answer,) = predictor.predict(["今天天气很好"])
    assert answer["label"] in ("bad", "good", "中性")
    assert len(answer["probabilities"]) == 3
    assert answer["score"] == max(answer["probabilities"])
    assert predictor.predict([]) == []
    assert list(predictor.outputs) == list(answer) == sorted(answer)


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
        (None, "Expected a list of instances"),
        ({"text": "a"}, "Expected a list of instances"),
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


@pytest.mark.parametrize("instance", ["a", {"text": "a"}, {"text": "a", "second": None}])
def test_pairs_that_are_refused(pairs, instance):
    expected = 'Instance 0: expected [{]"text": "...", "second": "..."}. Received'
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
    with pytest.raises(DataError, match="1 is not a SavedModel that can be loaded"):
        Predictor(tmp_path / "damaged")
    shutil.copytree(single[1], tmp_path / "incomplete")
    shutil.rmtree(tmp_path / "incomplete" / "1" / "variables")
    with pytest.raises(DataError, match="variables.* is missing"):
        Predictor(tmp_path / "incomplete")
    other = tf.Module()
    other.double = tf.function(lambda x: 2 * x, [tf.TensorSpec([None], tf.float32, "x")])
    tf.saved_model.save(other, str(tmp_path / "other"), signatures=other.double)
    with pytest.raises(DataError, match="no signature serving_default that takes text"):
        Predictor(tmp_path / "other")


def test_batch_size_is_checked(single):
    with pytest.raises(DataError, match="must be at least 1"):
        Predictor(single[1], batch_size=0)
