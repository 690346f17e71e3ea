"""`kbert finetune qa`, `evaluate`, `predict` and `score`, as a user types them."""

import io
import json
from types import SimpleNamespace

import pytest

from apps.cli import main
from kbert import export_saved_model, load
from tests.small_questions import write_questions, write_reader

OPTIONS = "--sequence-length 24 --stride 8 --max-question-length 8 --max-answer-length 4"
LEARNING = "--epochs 15 --batch-size 16 --learning-rate 4e-3 --encoder-dropout 0"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("questions")
    write_reader(folder / "start")
    # Six times the same: fewer epochs, and so fewer scores on the way.
    write_questions(folder / "train.json", copies=6)
    write_questions(folder / "two.json")
    write_questions(folder / "one.json", answerable=True)
    return folder


@pytest.fixture(scope="module")
def checkpoint(folder):
    """Learns 20 questions by heart, in windows that do not hold all of a text."""
    code = main(
        f"finetune qa --from {folder}/start --train {folder}/train.json --validation "
        f"{folder}/two.json --output {folder}/out {OPTIONS} {LEARNING}".split()
    )
    assert code == 0
    return folder / "out"


def test_learns_twenty_questions_by_heart(checkpoint):
    summary = json.loads((checkpoint / "finetune.json").read_text())
    assert (summary["train_rows"], summary["validation_rows"]) == (120, 20)
    assert summary["validation_counts"]["windows"] > 20
    assert "rows_bad" not in summary
    assert summary["scores"]["f1"] >= 95
    assert summary["scores"]["NoAns_total"] == 5
    task = json.loads((checkpoint / "task.json").read_text())
    assert task["unanswerable"]
    assert task["null_threshold"] == summary["scores"]["null_threshold"]


def test_evaluate_predict_and_score_agree(folder, checkpoint, capsys):
    metrics = folder / "metrics.json"
    assert main(f"evaluate {checkpoint} {folder}/two.json --output {metrics}".split()) == 0
    printed = capsys.readouterr().out
    scores = json.loads(metrics.read_text())
    assert scores["f1"] >= 95 and f"f1                {scores['f1']:.4f}" in printed
    unlabelled = json.loads((folder / "two.json").read_text())
    for paragraph in unlabelled["data"][0]["paragraphs"]:
        for question in paragraph["qas"]:
            del question["answers"], question["is_impossible"]
    (folder / "unlabelled.json").write_text(json.dumps(unlabelled))
    assert main(f"predict {checkpoint} {folder}/unlabelled.json".split()) == 0
    lines = capsys.readouterr().out
    (folder / "found.jsonl").write_text(lines)
    context = unlabelled["data"][0]["paragraphs"][0]["context"]
    first = json.loads(lines.splitlines()[0])
    assert first["id"] == "where-00" and first["text"] == "Kiel"
    assert context[first["start"] : first["end"]] == first["text"]
    assert main(f"score squad {folder}/two.json {folder}/found.jsonl".split()) == 0
    official = json.loads(capsys.readouterr().out)
    for name, value in official.items():
        assert scores[name] == pytest.approx(value)


def test_other_rules(folder, checkpoint, capsys):
    assert main(f"evaluate {checkpoint} {folder}/one.json --rules cmrc".split()) == 0
    printed = capsys.readouterr().out
    assert "AVERAGE" in printed and "TOTAL             15" in printed


def test_predict_answers_standard_input(checkpoint, capsys, monkeypatch):
    line = "Where is the kite?\tTimo has a kite in Riga, where the wind comes from the sea.\n"
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(line.encode())))
    assert main(["predict", str(checkpoint)]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["nbest"][0]["text"] == "Riga" and "id" not in answer


@pytest.mark.slow
def test_an_exported_model_answers_as_its_checkpoint(folder, checkpoint, capsys):
    export_saved_model(folder / "exported", load(checkpoint))
    answers = []
    for model in (checkpoint, folder / "exported"):
        assert main(f"predict {model} {folder}/two.json".split()) == 0
        answers.append([json.loads(line) for line in capsys.readouterr().out.splitlines()])
    assert len(answers[0]) == 20
    for one, other in zip(*answers, strict=True):
        assert one["score"] == pytest.approx(other["score"], abs=1e-5)
        for name in ("id", "text", "start", "end"):
            assert one[name] == other[name]


@pytest.mark.slow
def test_one_fine_tuning_follows_another(folder, checkpoint):
    """From a checkpoint without a pooler, on questions that all have answers."""
    code = main(
        f"finetune qa --from {checkpoint} --train {folder}/one.json --output {folder}/second "
        f"{OPTIONS} --epochs 1 --learning-rate 0 --validation-share 0".split()
    )
    assert code == 0
    assert not json.loads((folder / "second/task.json").read_text())["unanswerable"]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("evaluate {out} {folder}/bad.json", "question where-00: expected the answer 'Kiel' at 3"),
        ("evaluate {out} {folder}/two.json --text-column x", "no option text_column"),
        ("predict {out} {folder}/none.json", "No such file"),
        (
            "finetune qa --from {folder}/start --train {folder}/bad.json --output {folder}/new "
            + OPTIONS,
            "question where-00: expected the answer 'Kiel' at 3",
        ),
        (
            "finetune qa --from {folder}/start --train {folder}/one.json --output {folder}/new",
            "The checkpoint knows 32 positions. Received: a sequence length of 384",
        ),
    ],
)
def test_bad_input_is_one_sentence(folder, checkpoint, capsys, command, expected):
    bad = json.loads((folder / "one.json").read_text())
    bad["data"][0]["paragraphs"][0]["qas"][0]["answers"][0]["answer_start"] = 3
    (folder / "bad.json").write_text(json.dumps(bad))
    capsys.readouterr()
    assert main(command.format(out=checkpoint, folder=folder).split()) == 1
    error = capsys.readouterr().err
    assert expected in error and error.count("\n") == 1
    assert not (folder / "new").exists()


def test_bad_answers_are_counted_when_asked(folder, checkpoint, capsys):
    test_input = json.loads((folder / "one.json").read_text())
    test_input["data"][0]["paragraphs"][0]["qas"][0]["answers"][0]["answer_start"] = 3
    (folder / "bad.json").write_text(json.dumps(test_input))
    assert main(f"evaluate {checkpoint} {folder}/bad.json --skip-bad".split()) == 0
    printed = capsys.readouterr().out
    assert "1 bad rows" in printed and "total             15" in printed
    assert "bad.json, question where-00: expected the answer 'Kiel' at 3" in printed
