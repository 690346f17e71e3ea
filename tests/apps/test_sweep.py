"""`kbert finetune --seeds` and `kbert sweep`, as a user types them; runs that do no work."""

import dataclasses
import json
import shutil

import pytest

from apps.cli import main
from kbert import load, to_huggingface
from kbert.finetuning import several_runs
from tests.tiny_checkpoint import write_checkpoint, write_rows


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A run's accuracy is 0.1 of its seed and its epochs, and 1,000 times its rate."""
    write_checkpoint(tmp_path / "start")
    write_rows(tmp_path / "train.tsv", 20, seed=1)

    def finetune_on(rows, checkpoint, output, settings, *_):
        accuracy = 0.1 * (settings.seed + settings.epochs) + 1000 * settings.learning_rate
        summary = {**dataclasses.asdict(settings), "best_epoch": 1, "seconds": 0.1}
        output.mkdir(parents=True)
        summary["scores"] = {"accuracy": accuracy, "loss": 1.0}
        (output / "finetune.json").write_text(json.dumps(summary))

    monkeypatch.setattr(several_runs, "finetune_on", finetune_on)
    return tmp_path


def command(folder, name, options=""):
    return main(
        f"{name} classification --from {folder}/start --train {folder}/train.tsv "
        f"--output {folder}/{name} --sequence-length 16 {options}".split()
    )


def test_seeds_are_summed_up(folder, capsys):
    assert (
        command(
            folder,
            "finetune",
            "--seeds 3 --seed 2 --epochs 1 --validation-share 0.5 --learning-rate 5e-5",
        )
        == 0
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "seed=2    accuracy 0.3500, loss 1.0000  (failed)"
    assert lines[3] == "mean      accuracy 0.4500, loss 1.0000"
    assert lines[4] == "deviation accuracy 0.1000, loss 0.0000"
    report = json.loads((folder / "finetune/runs.json").read_text())
    assert report["failed"] >= 2  # The most frequent of two labels has at least 0.5.
    assert lines[5].startswith(f"{report['failed']} of 3 failed")
    assert lines[-1] == f"best by accuracy: seed=4; wrote {folder}/finetune"


def test_the_papers_grid_is_a_table_with_the_best_first(folder, capsys):
    """Its rates follow the width: this encoder's is the smallest."""
    assert command(folder, "sweep") == 0
    header, *rows, last = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert header[:5] == ["batch_size", "learning_rate", "epochs", "best_epoch", "accuracy"]
    assert len(rows) == 2 * 3 * 3
    assert rows[0][1:3] == ["0.001", "4"] and rows[-1][1:3] == ["0.0004", "2"]
    accuracies = [float(row[4]) for row in rows]
    assert accuracies == sorted(accuracies, reverse=True)
    assert "batch_size=16,learning_rate=0.001,epochs=4;" in last


def test_rates_for_an_encoder_of_another_format(folder, capsys):
    to_huggingface(folder / "hf", load(folder / "start"))
    shutil.rmtree(folder / "start")
    (folder / "hf").rename(folder / "start")
    assert command(folder, "sweep", "--batch-size 8 --epochs 1") == 0
    rows = capsys.readouterr().out.splitlines()[1:-1]
    assert [row.split()[1] for row in rows] == ["0.001", "0.0006", "0.0004"]


def test_another_grid(folder, capsys):
    assert command(folder, "sweep", "--batch-size 8 --learning-rate 1e-4 --epochs 1 2") == 0
    rows = capsys.readouterr().out.splitlines()[1:-1]
    assert [row.split()[:3] for row in rows] == [["8", "0.0001", "2"], ["8", "0.0001", "1"]]


@pytest.mark.parametrize(
    ("name", "options"), [("sweep", "--epochs 0 1"), ("finetune", "--seeds 0")]
)
def test_numbers_that_cannot_be_are_wrong_usage(folder, capsys, name, options):
    with pytest.raises(SystemExit) as stop:
        command(folder, name, options)
    assert stop.value.code == 2
    option = options.split()[0]
    assert f"argument {option}: must be at least 1. Received: 0." in capsys.readouterr().err
