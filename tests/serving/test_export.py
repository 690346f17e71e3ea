"""SavedModels: what they hold, and that they answer as the Keras model does."""

import dataclasses
import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from apps.cli import run_command
from kbert import (
    Checkpoint,
    Predictor,
    WordPieceTokenizer,
    build_encoder,
    build_pretraining_model,
    encoder_of,
    export_saved_model,
    save,
)
from kbert.errors import DataError
from kbert.inference.answerer import Answerer
from kbert.tasks import TASKS
from kbert.tasks.classification import ClassificationTask, TextExample
from tests.serving.conftest import CONFIG, LABELS, VOCABULARY, decided, exported

TEXTS = [
    "the film was good",
    "bad music!",
    "Élan, films and SEEING it",
    "今天天气很好",
    "",
    " \t\n",
    "[MASK] [SEP]",
    "we saw it " * 50,
    "好" * 20_000,
    b"good \xff\xfe\xc3 film",
    b"\xed\xa0\x80",
]


def keras_answers(checkpoint, pairs):
    """`kbert predict`'s answers to (text, second) pairs."""
    examples = [TextExample(text, second, None, "here") for text, second in pairs]
    model, tokenizer, _, task = checkpoint
    return Answerer(task, tokenizer, model, batch_size=4).answer(examples)


def check(answers, expected):
    """Answers, of the graph with lists of probabilities, against decoded ones."""
    assert len(answers) == len(expected)
    for answer, wanted in zip(answers, expected, strict=True):
        assert answer["label"] == wanted["label"]
        assert answer["score"] == pytest.approx(wanted["score"], abs=1e-5)
        probabilities = answer["probabilities"]
        if isinstance(probabilities, list):
            probabilities = dict(zip(wanted["probabilities"], probabilities, strict=True))
        assert probabilities == pytest.approx(wanted["probabilities"], abs=1e-5)


def rows(outputs):
    return [
        {
            "label": label.decode("utf-8"),
            "score": float(score),
            "probabilities": probabilities.tolist(),
        }
        for label, score, probabilities in zip(
            *(outputs[name].numpy() for name in ("label", "score", "probabilities")), strict=True
        )
    ]


def test_text_signature_answers_as_the_keras_model(single):
    checkpoint, folder = single
    loaded = tf.saved_model.load(folder / "1")
    answers = rows(loaded.signatures["serving_default"](text=tf.constant(TEXTS)))
    check(answers, keras_answers(checkpoint, [(text, None) for text in TEXTS]))
    assert len({round(answer["score"], 4) for answer in answers}) > 4


def test_pair_signature_answers_as_the_keras_model(pairs):
    checkpoint, folder = pairs
    texts = [("the film", "was good"), ("we saw " * 9, "it"), ("", ""), ("今", "天气 " * 20)]
    first, second = (tf.constant(column) for column in zip(*texts, strict=True))
    signature = tf.saved_model.load(folder / "1").signatures["serving_default"]
    check(rows(signature(text=first, second=second)), keras_answers(checkpoint, texts))


def test_token_signature_answers_as_the_text_signature(single):
    checkpoint, folder = single
    signatures = tf.saved_model.load(folder / "1").signatures
    inputs = checkpoint.tokenizer(TEXTS, sequence_length=checkpoint.task.sequence_length)
    by_tokens = signatures["token_ids"](**inputs)
    by_text = signatures["serving_default"](text=tf.constant(TEXTS))
    for name, values in by_text.items():
        if name != "label":
            np.testing.assert_allclose(by_tokens[name], values, atol=1e-6)
    assert by_tokens["label"].numpy().tolist() == by_text["label"].numpy().tolist()


def test_no_rows_in_no_rows_out(single, pairs, choice):
    """Of the model, and of both signatures of its export."""
    for checkpoint, folder in (single, pairs, choice):
        loaded = tf.saved_model.load(str(folder / "1"))
        texts = loaded.signatures["serving_default"]
        specs = texts.structured_input_signature[1]
        strings = {
            name: tf.zeros([0, 2][: len(spec.shape)], tf.string) for name, spec in specs.items()
        }
        assert {len(values) for values in texts(**strings).values()} == {0}
        none = checkpoint.tokenizer([], [] if checkpoint.task.takes_pairs else None)
        if checkpoint.task.takes_choices:
            none = {name: values[:, None] for name, values in none.items()}
        assert {len(values) for values in loaded.signatures["token_ids"](**none).values()} == {0}
        assert {len(values) for values in checkpoint.model(none).values()} == {0}


def test_a_pretraining_model_exports_its_encoder(pretrained):
    checkpoint, folder = pretrained
    loaded = tf.saved_model.load(folder / "1")
    outputs = loaded.signatures["serving_default"](text=tf.constant(["the film", "今天好"]))
    inputs = checkpoint.tokenizer(["the film", "今天好"])
    assert outputs["padding_mask"].numpy().tolist() == [[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]
    expected = encoder_of(checkpoint)(inputs)
    for name in ("sequence_output", "pooled_output"):
        np.testing.assert_allclose(outputs[name], expected[name], atol=1e-5)


def test_a_masked_lm_alone_exports_what_it_has_learned(tmp_path):
    """It has no pooler, and none is made up: no signature answers `pooled_output`."""
    model = build_pretraining_model(CONFIG, objective="masked-lm")
    _, folder = exported(tmp_path, model, None, answers="embedding")
    signatures = tf.saved_model.load(folder / "1").signatures
    assert set(signatures["serving_default"].structured_outputs) == {
        "sequence_output",
        "padding_mask",
        "embedding",
    }
    (answer,) = Predictor(folder).predict(["the film"])
    assert set(answer) == {"sequence_output", "embedding"}


@pytest.mark.parametrize(
    "changes",
    [
        {"position": "rotary", "attention_score": "additive", "activation": "geglu"},
        {"architecture": "bilstm"},
        {
            "position": "sinusoidal",
            "position_at": "every_layer",
            "attention_score": "multiplicative",
            "norm_placement": "wn",
            "direction": "left",
        },
    ],
)
def test_variants_answer_as_the_keras_model(tmp_path, changes):
    config = dataclasses.replace(CONFIG, **changes)
    task = ClassificationTask(labels=LABELS, sequence_length=16)
    model = decided(task.build_model(build_encoder(config)))
    checkpoint = Checkpoint(model, WordPieceTokenizer(VOCABULARY), config, task)
    export_saved_model(tmp_path, checkpoint)
    loaded = tf.saved_model.load(tmp_path / "1")
    texts = ["the film was good", "bad music!", "今天天气很好"]
    answers = rows(loaded.signatures["serving_default"](text=tf.constant(texts)))
    check(answers, keras_answers(checkpoint, [(text, None) for text in texts]))


def test_weights_are_stored_once(single):
    checkpoint, folder = single
    stored = tf.train.list_variables(str(folder / "1" / "variables" / "variables"))
    shapes = [tuple(shape) for name, shape in stored if name != "_CHECKPOINTABLE_OBJECT_GRAPH"]
    assert sorted(shapes) == sorted(tuple(w.shape) for w in checkpoint.model.weights)
    data = folder / "1" / "variables" / "variables.data-00000-of-00001"
    num_bytes = 4 * sum(map(math.prod, shapes))
    assert num_bytes < data.stat().st_size < num_bytes + 20_000


def test_assets_describe_the_model(single):
    checkpoint, folder = single
    assets = folder / "1" / "assets"
    pieces = (assets / "vocab.txt").read_text(encoding="utf-8").splitlines()
    assert pieces == checkpoint.tokenizer.vocabulary
    settings = json.loads((assets / "config.json").read_text(encoding="utf-8"))
    assert settings["encoder"] == checkpoint.config.to_dict()
    assert settings["tokenizer"] == checkpoint.tokenizer.options
    task = json.loads((assets / "task.json").read_text(encoding="utf-8"))
    assert TASKS[task["name"]].from_json(task) == checkpoint.task


# tensorflow-text itself imports Keras, which comes with TensorFlow; behind that it is blocked.
ALONE = """
import json, sys
import tensorflow as tf, tensorflow_text
for name in list(sys.modules):
    if name.split(".")[0] == "keras":
        sys.modules[name] = None
sys.modules["kbert"] = None
texts = json.loads(sys.argv[2])
signature = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
outputs = {name: out.numpy().tolist() for name, out in signature(text=tf.constant(texts)).items()}
outputs["label"] = [label.decode() for label in outputs["label"]]
answers = [dict(zip(outputs, row)) for row in zip(*outputs.values())]
del sys.modules["kbert"]
from kbert import Predictor
print(json.dumps([answers, Predictor(sys.argv[1]).predict(texts)]))
"""


def test_answers_without_kbert_and_keras(single, tmp_path):
    checkpoint, folder = single
    # A copy: nothing outside the folder may be needed.
    shutil.copytree(folder / "1", tmp_path / "alone")
    texts = [text for text in TEXTS if isinstance(text, str) and len(text) < 1000]
    finished = subprocess.run(
        [sys.executable, "-c", ALONE, tmp_path / "alone", json.dumps(texts)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        cwd=tmp_path,
    )
    assert finished.returncode == 0, finished.stderr
    expected = keras_answers(checkpoint, [(text, None) for text in texts])
    for answers in json.loads(finished.stdout.splitlines()[-1]):
        check(answers, expected)


def test_a_version_is_not_overwritten(single):
    checkpoint, folder = single
    before = (folder / "1" / "saved_model.pb").read_bytes()
    with pytest.raises(DataError, match="1 is already there"):
        export_saved_model(folder, checkpoint)
    assert (folder / "1" / "saved_model.pb").read_bytes() == before


@pytest.mark.parametrize("version", [0, -1, "2", True])
def test_versions_that_are_none(single, tmp_path, version):
    with pytest.raises(DataError, match="version must be "):
        export_saved_model(tmp_path, single[0], version)


def test_an_export_that_fails_leaves_nothing(single, tmp_path, monkeypatch):
    def fail(module, path, signatures):
        Path(path, "variables").mkdir()
        raise OSError("disk full")

    monkeypatch.setattr(tf.saved_model, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        export_saved_model(tmp_path / "model", single[0])
    assert list((tmp_path / "model").iterdir()) == []


def test_command(single, tmp_path, capsys):
    save(tmp_path / "checkpoint", single[0])
    arguments = [str(tmp_path / "checkpoint"), "--output", str(tmp_path / "model")]
    assert run_command("export", [*arguments, "--version", "3", "--signature-example"]) == 0
    printed = capsys.readouterr().out
    assert json.loads(printed.splitlines()[-1])["inputs"] == {"text": ["..."]}
    assert f"{tmp_path}/model/3: text -> label, probabilities, score" in printed
    assert Predictor(tmp_path / "model").version == 3
    assert run_command("export", [*arguments, "--version", "3"]) == 1
    assert "is already there" in capsys.readouterr().err
    assert run_command("export", [str(tmp_path), "--output", str(tmp_path / "other")]) == 1
    assert "must be a folder with a BERT" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert run_command("export", [arguments[0], "--output", str(tmp_path / "file")]) == 1
    assert str(tmp_path / "file") in capsys.readouterr().err


def test_bfloat16_halves_the_weights_and_answers_alike(pretrained, tmp_path):
    """Of outputs of large random weights two digits; they are float32 again."""
    checkpoint, folder = pretrained
    save(tmp_path / "checkpoint", checkpoint)
    arguments = [str(tmp_path / "checkpoint"), "--output", str(tmp_path / "half")]
    assert run_command("export", [*arguments, "--dtype", "bfloat16", "--answers", "embedding"]) == 0
    assert keras.config.dtype_policy().name == "float32"  # of what comes after it
    stored = [size_of(path / "1" / "variables") for path in (tmp_path / "half", folder)]
    assert stored[0] < 0.6 * stored[1]
    whole, half = (tf.saved_model.load(path / "1") for path in (folder, tmp_path / "half"))
    inputs = checkpoint.tokenizer(["the film was good", "bad music!", "今天天气很好"])
    found = half.signatures["model_outputs"](**inputs)
    for output, expected in whole.signatures["model_outputs"](**inputs).items():
        assert found[output].dtype == tf.float32
        scale = np.abs(expected.numpy()).max()
        np.testing.assert_allclose(found[output] / scale, expected / scale, atol=0.05)


def size_of(folder):
    return sum(file.stat().st_size for file in folder.glob("variables.data-*"))


def test_a_head_on_frozen_features_is_exported(tmp_path):
    """An LSTM in the graph, on both signatures' sizes."""
    task = ClassificationTask(
        labels=LABELS, sequence_length=16, features="second-to-last", head="rcnn", lstm_size=4
    )
    checkpoint, folder = exported(tmp_path, task.build_model(build_encoder(CONFIG)), task)
    texts = ["the film was good", "bad", "we saw it " * 20]
    answers = rows(
        tf.saved_model.load(folder / "1").signatures["serving_default"](text=tf.constant(texts))
    )
    check(answers, keras_answers(checkpoint, [(text, None) for text in texts]))
