"""Fine-tuning: what can be learnt is learnt; what is kept, what is repeated, what is refused."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from kbert import evaluate, load
from kbert.checkpoints.formats import load_finetuned
from kbert.engine.precision import dtype_policy
from kbert.errors import DataError
from kbert.finetuning import training
from kbert.finetuning.rows import read_rows, split_rows
from kbert.finetuning.run import load_start
from kbert.tasks.classification import ClassificationTask
from tests.tiny_checkpoint import finetune_with, write_checkpoint, write_rows

TASK = ClassificationTask(dropout=0.0, sequence_length=16)
SETTINGS = {
    "epochs": 6,
    "batch_size": 16,
    "learning_rate": 5e-3,
    "warmup_share": 0.1,
    "weight_decay": 0.01,
    "encoder_dropout": 0.0,  # Luck, and other luck on two devices.
    "validation_share": 0.0,
    "verbose": 0,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finetuning")
    write_checkpoint(folder / "start")
    write_rows(folder / "train.tsv", 160, seed=1)
    write_rows(folder / "dev.tsv", 60, seed=2)
    return folder


def run(folder, output, task=TASK, **changes):
    files = (folder / "start", folder / "train.tsv", folder / output)
    return finetune_with(task, *files, **SETTINGS | changes)


def weights(path):
    return load(path).model.get_weights()


def token_table(path):
    return load(path).model.get_layer("embedding").get_weights()[0]


@pytest.fixture(scope="module")
def finished(folder):
    return run(folder, "finished", validation_path=folder / "dev.tsv")


def test_learns_an_easy_task(folder, finished):
    assert finished["scores"]["accuracy"] >= 0.95
    assert (finished["train_rows"], finished["validation_rows"]) == (160, 60)
    assert finished["steps"] == 60
    assert json.loads((folder / "finished/finetune.json").read_text()) == finished
    assert any((folder / "finished/logs").rglob("*tfevents*"))


def test_learns_it_where_rows_are_shared(folder, monkeypatch):
    monkeypatch.setattr(training, "_PAYS", 0)
    summary = run(folder, "shared", validation_path=folder / "dev.tsv", epochs=10)
    assert summary["scores"]["accuracy"] >= 0.95
    assert summary["steps"] == 100


def test_what_is_kept_scores_as_reported(folder, finished):
    checkpoint = load_finetuned(folder / "finished")
    assert checkpoint.task.labels == ("bad", "good")
    plot = folder / "scores.png" if importlib.util.find_spec("matplotlib") else None
    scores = evaluate(checkpoint.task, checkpoint, folder / "dev.tsv", plot=plot)
    assert plot is None or plot.read_bytes().startswith(b"\x89PNG")
    assert scores["rows"] == 60
    for name in TASK.metric_names:
        assert scores[name] == pytest.approx(finished["scores"][name], abs=1e-5)


def test_held_out_rows_cut_texts_and_a_rate_of_zero(folder):
    task = ClassificationTask(sequence_length=6)
    summary = run(folder, "still", task, epochs=1, learning_rate=0.0, limit=40, validation_share=0)
    rows = (folder / "train.tsv").read_text().splitlines()[1:]
    assert 0 < summary["train_rows_cut"] <= sum(len(row.split()) - 1 > 4 for row in rows)
    assert (summary["train_rows"], summary["validation_rows"]) == (40, 0)
    assert (summary["best_epoch"], summary["chosen_by"]) == (1, "last epoch")
    # Nothing was learnt: the encoder is the one that it started from.
    assert np.array_equal(token_table(folder / "start"), token_table(folder / "still"))


def layer_weights(path, name):
    return load(path).model.get_layer(name).get_weights()


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_frozen_layers_stay_while_the_pooler_learns(folder):
    run(folder, "frozen", epochs=1, limit=16, freeze_layers=1)
    for name, stays in (("embedding", True), ("block_0", True), ("pooler", False)):
        before, after = (
            layer_weights(folder / "start", name),
            layer_weights(folder / "frozen", name),
        )
        assert same(before, after) == stays, name


def test_layers_drawn_again_and_an_adversary_that_leaves_the_table(folder):
    changes = {"learning_rate": 0.0, "reinitialize": 1, "adversary": "pgd", "pgd_steps": 1}
    summary = run(folder, "drawn", epochs=1, limit=16, **changes)
    assert (summary["adversary"], summary["reinitialize"]) == ("pgd", 1)
    for name, stays in (("embedding", True), ("block_0", False), ("pooler", False)):
        before, after = (layer_weights(folder / run, name) for run in ("start", "drawn"))
        assert same(before, after) == stays, name


def test_random_weights_are_not_the_checkpoint(folder):
    still = {"epochs": 1, "learning_rate": 0.0, "limit": 20, "validation_share": 0.2}
    summary = run(folder, "random", from_random=True, **still)
    assert (summary["train_rows"], summary["validation_rows"]) == (16, 4)
    assert not np.allclose(token_table(folder / "start"), token_table(folder / "random"))


def test_a_start_is_loaded_in_float32_whatever_run_came_before(folder):
    """What the encoder itself fills in would be other words in 16 bits."""
    with dtype_policy("mixed_bfloat16"):
        blocks = load_start(folder / "start").model.layers
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    assert {layer.compute_dtype for layer in blocks if layer.weights} == {"float32"}


@pytest.mark.slow
def test_same_seed_same_weights(folder, finished):
    again = run(folder, "again", validation_path=folder / "dev.tsv")
    assert again["scores"] == finished["scores"]
    pairs = zip(weights(folder / "again"), weights(folder / "finished"), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)


def test_several_training_files_are_read_as_one(folder):
    header, *rows = (folder / "train.tsv").read_text().splitlines(keepends=True)
    for name, part in (("one.tsv", rows[:100]), ("two.tsv", rows[100:])):
        (folder / name).write_text(header + "".join(part))
    start = load(folder / "start")
    whole = read_rows(TASK, start, folder / "train.tsv")
    parts = read_rows(TASK, start, [folder / "one.tsv", folder / "two.tsv"])
    assert parts.digest() == whole.digest()
    assert parts.summary()["train"] == f"{folder / 'one.tsv'}, {folder / 'two.tsv'}"


def test_rows_are_split_by_the_seed():
    train, held_out = split_rows(range(100), 50, None, 0.1, seed=0)
    assert (len(train), len(held_out), len({*train, *held_out})) == (45, 5, 50)
    assert (train, held_out) == split_rows(range(100), 50, None, 0.1, seed=0)
    assert held_out != split_rows(range(100), 50, None, 0.1, seed=1)[1]
    assert split_rows(range(10), None, "dev.tsv", 0.1, seed=0)[1] == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"warmup_share": 2}, r"warmup_share must be in \[0, 1\]"),
        ({"metric": "bleu"}, "metric of accuracy, f1, .* Received: bleu"),
        ({"limit": 161}, "limit must be at most the 160 rows. Received: 161"),
        ({"validation_share": 1.0}, r"validation_share must be in \[0, 1\)"),
        ({"limit": 1, "validation_share": 0.5}, "1 rows are too few to hold out 50%"),
        ({"freeze_layers": 2}, "has 1 layers. Received: 0 to draw again and 2 to freeze"),
        ({"precision": "float8"}, "precision must be one of"),
        ({"task": ClassificationTask(sequence_length=64)}, "32 positions. .* length of 64"),
        ({"task": ClassificationTask(text_column="x")}, "no column 'x'"),
        (
            {"validation_path": __file__, "validation_share": 0.2},
            "validation_share needs training rows without a validation file",
        ),
        ({"patience": 2}, "patience needs held-out rows. Received: 2 without"),
        ({"feature_type": "float16"}, "feature_type needs `features` of a frozen encoder"),
        (
            {"reinitialize": 0, "task": ClassificationTask(sequence_length=16, head="mean")},
            "draws the pooler again, which the task does not read",
        ),
    ],
)
def test_refuses_before_anything_is_written(folder, changes, expected):
    with pytest.raises(DataError, match=expected):
        run(folder, "refused", **changes)
    assert not (folder / "refused").exists()


def test_refuses_to_write_over_what_is_there(folder, finished):
    with pytest.raises(DataError, match="is not empty"):
        run(folder, "finished")
    with pytest.raises(DataError, match="is the checkpoint to start from"):
        run(folder, "start", overwrite=True)
    with pytest.raises(DataError, match="is a file"):
        run(folder, "train.tsv")


def test_an_encoder_is_not_fine_tuned(folder):
    with pytest.raises(DataError, match="is not fine-tuned"):
        load_finetuned(folder / "start")


@pytest.mark.slow
def test_two_devices_train_and_score_too(folder, finished):
    program = f"""
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from pathlib import Path
from tests.finetuning.test_run import run
summary = run(Path("{folder}"), "two", validation_path="{folder}/dev.tsv")
print(summary["scores"]["loss"])
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=os.environ,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    # Without dropout both do the same arithmetic, but for the order of sums.
    loss = float(done.stdout.split()[-1])
    assert loss == pytest.approx(finished["scores"]["loss"], rel=0.05, abs=2e-3)
