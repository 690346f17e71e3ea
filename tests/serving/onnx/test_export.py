"""ONNX exports: the answers of the checkpoint, from ONNX Runtime alone."""

import json
import subprocess
import sys

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from starlette.testclient import TestClient

from apps.cli import run_command
from kbert import Checkpoint, Predictor, WordPieceTokenizer, build_encoder, build_pretraining_model
from kbert import fill_mask as fill
from kbert.checkpoints import directory
from kbert.checkpoints.sentence_vectors import Dense, LayerNorm, Pooling
from kbert.errors import DataError
from kbert.inference.answerer import Answerer
from kbert.inference.fill_mask import fill_masks
from kbert.inference.text_encoder import TextEncoder
from kbert.serving.export_any import export
from kbert.serving.http.app import application
from kbert.serving.models import Models
from kbert.serving.onnx.export import export_onnx
from kbert.serving.settings import ExportSettings
from kbert.serving.signature_defs import inspect_export
from kbert.serving.versions import ONNX_MODEL
from kbert.tasks.classification import ClassificationTask
from kbert.tasks.multiple_choice import MultipleChoiceTask
from kbert.tasks.question_answering import QuestionAnsweringTask
from kbert.tasks.tagging import TaggingTask
from tests.conftest import ROOT
from tests.serving.conftest import CONFIG, LABELS, VOCABULARY, decided
from tests.serving.five_ways import same

TEXTS = ["the film was good !", "今天天气很好", "we saw it", "bad music and good music, élan"]
TASKS = {
    "tagging": TaggingTask(labels=("LOC", "PER"), crf=True, valid_tags=True, sequence_length=12),
    "questions": QuestionAnsweringTask(sequence_length=16, stride=4, max_question_length=6),
}


@pytest.fixture(scope="module")
def pretrained_checkpoint():
    keras.utils.set_random_seed(0)
    model = decided(build_pretraining_model(CONFIG))
    return Checkpoint(model, WordPieceTokenizer(VOCABULARY), CONFIG)


@pytest.fixture(scope="module")
def single():
    return checkpoint_of(ClassificationTask(labels=LABELS, sequence_length=16))


def checkpoint_of(task):
    model = decided(task.build_model(build_encoder(CONFIG)))
    return Checkpoint(model, WordPieceTokenizer(VOCABULARY), CONFIG, task)


def check_same(checkpoint, instances, folder):
    model, tokenizer, _, task = checkpoint
    expected = Answerer(task, tokenizer, model).predict(instances)
    export_onnx(folder, checkpoint)
    found = Predictor(folder).predict(instances)
    assert len(found) == len(expected) == len(instances)
    for answer, wanted in zip(found, expected, strict=True):
        assert same(answer, wanted), (answer, wanted)


@pytest.mark.parametrize("name", TASKS)
def test_windows_spans_and_paths_are_the_checkpoints(name, tmp_path):
    long = " ".join(TEXTS * 3)
    instances = [{"text": text} for text in (*TEXTS, long)]
    if name == "questions":
        instances = [{"text": "good ?", "second": i["text"]} for i in instances]
    check_same(checkpoint_of(TASKS[name]), instances, tmp_path)


def test_choices(tmp_path):
    instances = [
        {"context": text, "choices": TEXTS[: 2 + number]} for number, text in enumerate(TEXTS[:2])
    ]
    check_same(checkpoint_of(MultipleChoiceTask(sequence_length=12)), instances, tmp_path)


def test_it_answers_without_tensorflow_and_keras(single, tmp_path, capsys):
    directory.save(tmp_path / "checkpoint", single)
    arguments = [tmp_path / "checkpoint", "--output", tmp_path / "onnx", "--format", "onnx"]
    assert run_command("export", list(map(str, arguments))) == 0
    assert "text -> logits" in capsys.readouterr().out
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    predict = ["predict", str(tmp_path / "onnx"), str(tmp_path / "texts.txt")]
    answers = without_tensorflow_and_keras(f"sys.exit(main({predict}))")
    found = [json.loads(line) for line in answers.splitlines()]
    expected = Answerer(single.task, single.tokenizer, single.model).predict(TEXTS)
    assert same(found, expected)
    assert run_command("inspect", [str(tmp_path / "onnx")]) == 0
    shown = capsys.readouterr().out
    assert "signature onnx" in shown and "int32 (?, ?)" in shown


def test_it_is_served_without_tensorflow_and_keras(single, tmp_path):
    serve = ["serve", str(export_onnx(tmp_path / "films", single).parent), "--port", "0"]
    invitation = without_tensorflow_and_keras(
        "from kbert.serving.http import server\n"
        "server.serve = lambda models, *_: print(models.get('films').predict(['good']))\n"
        f"sys.exit(main({serve}))"
    )
    assert "Try: curl" in invitation
    assert "probabilities" in invitation.splitlines()[-1]


def without_tensorflow_and_keras(program):
    """What a program prints in a process that has neither."""
    blocked = "import sys; sys.modules['tensorflow'] = sys.modules['keras'] = None\n"
    program = f"{blocked}from apps.cli import main\n{program}"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_open_inference_protocol_names_its_platform(single, tmp_path):
    export_onnx(tmp_path / "films", single)
    with TestClient(application(Models({"films": tmp_path / "films"}))) as client:
        described = client.get("/v2/models/films").json()
    assert described["platform"] == "onnx_onnxv1"


def test_a_session_has_as_many_threads_as_a_batch(single, tmp_path, monkeypatch):
    """Of the server's option; TensorFlow is not told, which has computed already here."""
    sessions, served = [], []

    def session(*args, **kwargs):
        sessions.append(create(*args, **kwargs))
        return sessions[-1]

    create = onnxruntime.InferenceSession
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    monkeypatch.setattr("kbert.serving.http.server.serve", lambda models, *_: served.append(models))
    folder = export_onnx(tmp_path / "films", single).parent
    for options in ([], ["--threads-per-batch", "3"]):
        assert run_command("serve", [str(folder), "--port", "0", *options]) == 0
    Predictor(folder)
    threads = [each.get_session_options().intra_op_num_threads for each in sessions]
    assert threads == [1, 3, 0]
    expected = Answerer(single.task, single.tokenizer, single.model).predict(TEXTS)
    assert same(served[1].get("films").predict(TEXTS), expected)


def test_masks_are_filled(pretrained_checkpoint, tmp_path):
    texts = ["the [MASK] was good", "[MASK] saw the [MASK] music !"]
    export_onnx(tmp_path, pretrained_checkpoint, top=3)
    found = fill_masks(Predictor(tmp_path).answerer, texts, top=3)
    assert same(found, fill(pretrained_checkpoint, texts, top=3))


@pytest.mark.parametrize(
    "pooling",
    [
        Pooling("cls+max+mean", normalize=True),
        Pooling("mean_sqrt_length+weighted_mean+last", layers=(0, -1)),
        Pooling("mean", layers=(1, 2), combination="sum"),
    ],
    ids=lambda pooling: pooling.mode,
)
def test_vectors_with_their_pooling(pooling, pretrained_checkpoint, tmp_path):
    export_onnx(tmp_path, pretrained_checkpoint, answers="embedding", pooling=pooling)
    found = [answer["embedding"] for answer in Predictor(tmp_path).predict(TEXTS)]
    expected = TextEncoder(pretrained_checkpoint, pooling).encode(TEXTS)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_vectors_with_modules(pretrained_checkpoint, tmp_path):
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(CONFIG.hidden_dim, 5)).astype("float32")
    modules = (
        Dense("tanh", kernel, np.arange(5, dtype="float32")),
        LayerNorm(np.arange(1, 6, dtype="float32"), np.ones(5, "float32")),
    )
    pooling = Pooling(modules=modules, normalize=True)
    export_onnx(tmp_path, pretrained_checkpoint, answers="embedding", pooling=pooling)
    found = [answer["embedding"] for answer in Predictor(tmp_path).predict(TEXTS)]
    expected = TextEncoder(pretrained_checkpoint, pooling).encode(TEXTS)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_int8_is_a_quarter_of_the_size_and_close(single, tmp_path):
    export_onnx(tmp_path / "whole", single)
    export_onnx(tmp_path / "int8", single, int8=True)
    arrays = {
        name: onnx.load(tmp_path / name / "1" / ONNX_MODEL).graph.initializer
        for name in ("whole", "int8")
    }
    large = [array for array in arrays["int8"] if np.prod(array.dims) > 3 * CONFIG.hidden_dim]
    eight_bits = (onnx.TensorProto.INT8, onnx.TensorProto.UINT8)
    assert large and all(array.data_type in eight_bits for array in large)
    whole, small = (Predictor(tmp_path / name).predict(TEXTS) for name in ("whole", "int8"))
    differences = [
        abs(one["score"] - other["score"]) for one, other in zip(whole, small, strict=True)
    ]
    assert 0 < max(differences) < 0.2


def test_what_does_not_go_together_is_refused(single, tmp_path, capsys):
    directory.save(tmp_path / "checkpoint", single)
    arguments = [str(tmp_path / "checkpoint"), "--output", str(tmp_path / "out")]
    for options, message in (
        (["--int8"], "--int8 needs --format onnx"),
        (["--format", "onnx", "--dtype", "bfloat16"], "belong to --format saved-model"),
    ):
        with pytest.raises(SystemExit) as end:
            run_command("export", [*arguments, *options])
        assert end.value.code == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_onnx_there_is_a_sentence(single, tmp_path, monkeypatch):
    directory.save(tmp_path / "checkpoint", single)
    folder = export_onnx(tmp_path / "there", single)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(DataError, match=r'needs onnx: pip install "kbert\[onnx\]"'):
        inspect_export(folder)
    monkeypatch.setitem(sys.modules, "kbert.serving.onnx.export", None)
    with pytest.raises(DataError, match=r'An ONNX export needs .*: pip install "kbert\[onnx\]"'):
        export(tmp_path / "out", tmp_path / "checkpoint", ExportSettings(format="onnx"))
    assert not (tmp_path / "out").exists()


def test_who_may_read_the_graph_may_read_its_weights(single, tmp_path):
    folder = export_onnx(tmp_path, single)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len({path.stat().st_mode for path in files}) == 1 and len(files) > 4


@pytest.mark.parametrize(
    ("name", "int8"),
    # Weights of less than 1,024 bytes stay in the graph: here all in 8 bits.
    [(ONNX_MODEL, False), (f"{ONNX_MODEL}.data", False), (ONNX_MODEL, True)],
)
def test_a_changed_file_is_refused(name, int8, single, tmp_path):
    folder = export_onnx(tmp_path, single, int8=int8)
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=name):
        Predictor(tmp_path)
