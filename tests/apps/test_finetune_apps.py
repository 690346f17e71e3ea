"""`kbert finetune`, `evaluate` and `predict`, as a user types them."""

import io
import json
from types import SimpleNamespace

import pytest

from apps.cli import main, run_command
from kbert import export_saved_model, load
from tests.tiny_checkpoint import write_checkpoint, write_rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("apps")
    write_checkpoint(folder / "start")
    write_rows(folder / "train.tsv", 120, seed=1)
    write_rows(folder / "dev.tsv", 30, seed=2)
    return folder


@pytest.fixture(scope="module")
def checkpoint(folder):
    code = main(
        f"finetune classification --from {folder}/start --train {folder}/train.tsv "
        f"--validation {folder}/dev.tsv --output {folder}/out --epochs 8 --batch-size 16 "
        "--learning-rate 5e-3 --dropout 0 --sequence-length 16 --class-weights balanced".split()
    )
    assert code == 0
    return folder / "out"


def test_evaluate_prints_and_writes_the_scores(folder, checkpoint, capsys):
    metrics = folder / "metrics.json"
    assert main(f"evaluate {checkpoint} {folder}/dev.tsv --output {metrics}".split()) == 0
    printed = capsys.readouterr().out
    scores = json.loads(metrics.read_text())
    assert f"accuracy    {scores['accuracy']:.4f}" in printed
    assert scores["accuracy"] >= 0.9
    assert {"f1", "matthews", "confusion_matrix"} <= set(scores)
    _, table = printed.split("right \\ predicted")
    rows = [line.split()[-2:] for line in table.splitlines()[1:3]]
    assert rows == [list(map(str, row)) for row in scores["confusion_matrix"]]


def test_the_summary_says_the_rate_and_a_run_that_learned_nothing(folder, capsys):
    """An encoder that stays as it was begins with an output layer that knows nothing."""
    command = (
        f"finetune classification --from {folder}/start --train {folder}/train.tsv --output "
        f"{folder}/still --epochs 1 --limit 40 --sequence-length 16 --batch-size 16"
    )
    assert main(f"{command} --learning-rate 0".split()) == 0
    printed = capsys.readouterr().out
    assert "steps at a rate of 0 in " in printed
    summary = json.loads((folder / "still/finetune.json").read_text())
    assert summary["failed"] and summary["trivial_score"] >= 0.5
    assert (summary["train_rows"], summary["validation_rows"]) == (36, 4)
    trivial = f"ignores the text (accuracy {summary['trivial_score']:.4f}). Try another --learning"
    assert trivial in printed


def answers_of(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_predict_answers_tables_and_texts(folder, checkpoint, capsys):
    rows = (folder / "dev.tsv").read_text().splitlines()[1:]
    (folder / "texts.txt").write_text("\n".join(row.split("\t")[0] for row in rows))
    assert main(f"predict {checkpoint} {folder}/dev.tsv".split()) == 0
    answers = answers_of(capsys)
    assert main(f"predict {checkpoint} {folder}/texts.txt".split()) == 0
    for of_text, of_row in zip(answers_of(capsys), answers, strict=True):
        assert of_text["label"] == of_row["label"]
        assert of_text["probabilities"] == pytest.approx(of_row["probabilities"], abs=1e-6)
    right = sum(a["label"] == row.split("\t")[1] for a, row in zip(answers, rows, strict=True))
    assert right >= 0.9 * len(rows)
    assert sum(answers[0]["probabilities"].values()) == pytest.approx(1)


def test_predict_answers_standard_input(checkpoint, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"good film\nbad day\n")))
    assert main(["predict", str(checkpoint)]) == 0
    assert [answer["label"] for answer in answers_of(capsys)] == ["good", "bad"]


def test_predict_reads_other_columns(folder, checkpoint, capsys):
    (folder / "rows.csv").write_text("7,good film\n8,bad film\n")
    command = f"predict {checkpoint} {folder}/rows.csv --no-header --text-column 1"
    assert main(command.split()) == 0
    assert [answer["label"] for answer in answers_of(capsys)] == ["good", "bad"]


def test_predict_answers_with_what_was_exported(folder, checkpoint, capsys):
    export_saved_model(folder / "exported", load(checkpoint))
    assert main(f"predict {checkpoint} {folder}/dev.tsv".split()) == 0
    of_checkpoint = answers_of(capsys)
    assert main(f"predict {folder}/exported {folder}/dev.tsv".split()) == 0
    for one, other in zip(of_checkpoint, answers_of(capsys), strict=True):
        assert one["label"] == other["label"]
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)
    command = f"predict {folder}/exported {folder}/dev.tsv --precision bfloat16"
    assert main(command.split()) == 1
    assert "was exported: it computes in the precision that it has" in capsys.readouterr().err


def test_predict_in_sixteen_bits(folder, checkpoint, capsys, precision):
    answers = []
    for name in ("float32", "bfloat16"):
        assert main(f"predict {checkpoint} {folder}/dev.tsv --precision {name}".split()) == 0
        answers.append(answers_of(capsys))
    exact, half = ([one["probabilities"]["good"] for one in found] for found in answers)
    assert half == pytest.approx(exact, abs=0.05) and half != exact


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("evaluate {out} {folder}/none.tsv", "No such file or directory: "),
        ("evaluate {out} {folder}/dev.tsv --text-column x", "has no column 'x'"),
        (
            "evaluate {out} {folder}/other.tsv",
            "labels that the training file does not have: 'ugly'",
        ),
        ("evaluate {out} {folder}/dev.tsv --output {folder}/none/m.json", "There is no folder"),
        ("evaluate {out} {folder}/dev.tsv --output {folder}", "is a folder; expected the name"),
        ("evaluate {folder}/start {folder}/dev.tsv", "is not fine-tuned"),
        ("predict {out} {folder}/none.txt", "No such file or directory: "),
        ("predict {out} {folder}/latin.txt", "latin.txt, line 2: expected UTF-8. Received"),
        ("predict {folder}/none {folder}/dev.tsv", "There is no folder"),
        (
            "finetune classification --from {folder}/start --train {folder}/train.tsv "
            "--output {folder}/new --label-column x",
            "has no column 'x'. Its columns: 'text', 'label'",
        ),
        (
            "finetune classification --from {folder}/start --train {folder}/train.tsv "
            "--output {folder}/out",
            "is not empty",
        ),
    ],
)
def test_bad_input_is_one_sentence(folder, checkpoint, capsys, command, expected):
    (folder / "other.tsv").write_text("text\tlabel\na film\tugly\n")
    (folder / "latin.txt").write_bytes(b"a film\nanother \xe9\n")
    capsys.readouterr()
    assert main(command.format(out=checkpoint, folder=folder).split()) == 1
    printed, error = capsys.readouterr()
    assert printed == ""  # Before the work, not after it.
    assert error.startswith(f"kbert {command.split()[0]}: error: ")
    assert expected in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "command", ["finetune", "finetune poetry", "finetune classification", "evaluate", "predict"]
)
def test_usage_errors_exit_with_2(command):
    with pytest.raises(SystemExit) as stop:
        main(command.split())
    assert stop.value.code == 2


@pytest.mark.parametrize("command", ["finetune classification", "evaluate", "predict"])
def test_help_shows_real_defaults(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*command.split(), "--help"])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert "(default: 64)" in printed or "(default: 32)" in printed
    assert "(default: None)" not in printed


def test_an_evaluation_that_fails_leaves_no_file(tmp_path, capsys):
    arguments = [str(tmp_path / "none"), "rows.tsv", "--output", str(tmp_path / "scores.json")]
    assert run_command("evaluate", arguments) == 1
    assert "none" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
