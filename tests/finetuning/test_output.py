"""A run that is killed goes on, to the same bits; an output is whole or as it was before."""

import errno
import json
import os
import random
import shutil
import signal

import pytest
import safetensors.numpy
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from apps.cli import main
from kbert.checkpoints.formats import load_finetuned
from kbert.engine import saving
from kbert.engine.tensorflow import TrainingModel
from kbert.errors import DataError, TrainingError
from kbert.files import locked
from kbert.finetuning import run as run_module
from kbert.finetuning import training
from kbert.finetuning.output import START, claim_run
from kbert.tasks.classification import ClassificationTask
from tests.tiny_checkpoint import finetune_with, write_checkpoint, write_rows

# With dropout, so that its masks must be those of the run that was never stopped.
TASK = ClassificationTask(dropout=0.1, sequence_length=16)
SETTINGS = {"epochs": 3, "batch_size": 16, "learning_rate": 5e-3, "verbose": 0, "log_every": 2}


class Killed(BaseException):
    """As a kill is: nothing catches it."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outputs")
    write_checkpoint(folder / "start")
    write_rows(folder / "train.tsv", 60, seed=1)  # Four steps an epoch.
    write_rows(folder / "dev.tsv", 31, seed=2)
    return folder


def run(folder, output, **changes):
    files = (folder / "start", folder / "train.tsv", folder / output)
    values = SETTINGS | {"validation_path": folder / "dev.tsv"} | changes
    return finetune_with(TASK, *files, **values)


@pytest.fixture(scope="module")
def never_stopped(folder):
    return run(folder, "whole")


def assert_same_bits(one, two):
    first, second = (safetensors.numpy.load_file(path / "model.safetensors") for path in (one, two))
    assert set(first) == set(second)
    for name, array in first.items():
        assert array.tobytes() == second[name].tobytes(), f"{name} differs"


def stop_at(monkeypatch, step, error):
    """The step raises an error, or gets a signal."""
    fit = TrainingModel.fit

    def stopping(self, *args, callbacks, **options):
        counter, check = callbacks[0], callbacks[1].on_train_batch_end

        def on_train_batch_end(batch, logs=None):
            check(batch, logs)
            if counter.step == step:
                if isinstance(error, signal.Signals):
                    os.kill(os.getpid(), error)
                else:
                    raise error

        callbacks[1].on_train_batch_end = on_train_batch_end
        return fit(self, *args, callbacks=callbacks, **options)

    monkeypatch.setattr(TrainingModel, "fit", stopping)


def stop_in(monkeypatch, module, name, call, error, after=False):
    """A function of a module raises at one of its calls, counted from 1, before or after it."""
    original, calls = getattr(module, name), []

    def stopping(*args, **options):
        calls.append(None)
        if len(calls) == call and not after:
            raise error
        result = original(*args, **options)
        if len(calls) == call:
            raise error
        return result

    monkeypatch.setattr(module, name, stopping)


MOMENTS = {
    "in the first epoch": (lambda patch: stop_at(patch, 2, Killed()), 0),
    "in the second epoch": (lambda patch: stop_at(patch, 6, Killed()), 4),
    "in a save": (lambda patch: stop_in(patch, saving, "write_arrays", 2, Killed()), 4),
    "between the best and the save": (
        lambda patch: stop_in(patch, run_module, "keep_best", 2, Killed(), after=True),
        4,
    ),
    "before the end": (lambda patch: stop_in(patch, run_module, "finish", 1, Killed()), 12),
}


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_and_given_again_it_ends_bit_for_bit_the_same(
    folder, never_stopped, monkeypatch, moment
):
    kill, first_step = MOMENTS[moment]
    output = f"killed {moment}"
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill(patch)
        run(folder, output)
    assert not (folder / output).exists()
    summary = run(folder, output)
    assert summary["first_step"] == first_step
    for name in ("scores", "best_epoch", "steps"):
        assert summary[name] == never_stopped[name]
    assert_same_bits(folder / output, folder / "whole")
    assert not (folder / f"{output}.unfinished").exists()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_killed_again_and_again_within_epochs_it_ends_the_same(
    folder, never_stopped, monkeypatch, seed
):
    """Each time at a random step; it goes on from the last step that was saved."""
    generator, output, first_step = random.Random(seed), f"often killed {seed}", 0
    while first_step < 8:
        step = generator.randint(first_step + 1, 12)
        with monkeypatch.context() as patch, pytest.raises(Killed):
            stop_at(patch, step, Killed())
            run(folder, output, save_every=3)
        # The step is stopped before it is saved; an epoch has four.
        first_step = max(number for number in (0, *range(3, step, 3), *range(4, step, 4)))
    summary = run(folder, output, save_every=3)
    assert summary["first_step"] == first_step
    for name in ("scores", "best_epoch", "steps"):
        assert summary[name] == never_stopped[name]
    assert_same_bits(folder / output, folder / "whole")


@pytest.mark.slow
def test_killed_with_shared_rows_it_ends_bit_for_bit_the_same(folder, monkeypatch):
    monkeypatch.setattr(training, "_PAYS", 0)
    run(folder, "whole, packed")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        stop_at(patch, 6, Killed())
        run(folder, "killed, packed")
    assert run(folder, "killed, packed")["first_step"] == 4
    assert_same_bits(folder / "killed, packed", folder / "whole, packed")


def test_the_save_before_is_taken_where_the_last_is_damaged(
    folder, never_stopped, monkeypatch, capsys
):
    with monkeypatch.context() as patch, pytest.raises(Killed):
        stop_at(patch, 8, Killed())
        run(folder, "damaged", save_every=3)
    steps = folder / "damaged.unfinished" / "steps"
    assert [path.name for path in sorted(steps.iterdir())] == ["00000004", "00000006"]
    data = bytearray((steps / "00000006" / "training.safetensors").read_bytes())
    data[len(data) // 2] ^= 1
    (steps / "00000006" / "training.safetensors").write_bytes(data)
    assert run(folder, "damaged", save_every=3)["first_step"] == 4
    assert "00000006/training.safetensors is damaged" in capsys.readouterr().out
    assert_same_bits(folder / "damaged", folder / "whole")


def command(folder, output, *options):
    return (
        f"finetune classification --from {folder}/start --train {folder}/train.tsv "
        f"--validation {folder}/dev.tsv --output {folder}/{output} --epochs 3 --batch-size 16 "
        "--learning-rate 5e-3 --dropout 0.1 --sequence-length 16 --log-every 2"
    ).split() + list(options)


def full(folder):
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def test_stopped_in_every_way_one_after_the_other(folder, never_stopped, monkeypatch, capsys):
    """SIGTERM within an epoch, a kill between the best and the save, a full disk at the end."""
    output = folder / "stopped"
    with monkeypatch.context() as patch:
        stop_at(patch, 2, signal.SIGTERM)
        assert main(command(folder, "stopped")) == 143
    assert capsys.readouterr().err.endswith(
        "kbert finetune: Stopped and saved at step 2. The same command goes on from there.\n"
    )
    with monkeypatch.context() as patch, pytest.raises(Killed):
        stop_in(patch, run_module, "keep_best", 2, Killed(), after=True)
        main(command(folder, "stopped"))
    with monkeypatch.context() as patch:
        stop_in(patch, run_module, "finish", 1, full(folder))
        assert main(command(folder, "stopped")) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "No space left on device" in error
    assert not output.exists()
    assert main(command(folder, "stopped")) == 0
    summary = json.loads((output / "finetune.json").read_text())
    assert summary["first_step"] == 12
    for name in ("scores", "best_epoch", "steps"):
        assert summary[name] == never_stopped[name]
    assert_same_bits(output, folder / "whole")
    assert not (folder / "stopped.unfinished").exists()


@pytest.mark.slow
def test_ctrl_c_saves_and_exits_with_130(folder, monkeypatch):
    with monkeypatch.context() as patch:
        stop_at(patch, 6, signal.SIGINT)
        assert main(command(folder, "interrupted")) == 130
    assert main(command(folder, "interrupted")) == 0
    assert_same_bits(folder / "interrupted", folder / "whole")


def test_overwriting_leaves_the_old_model_whole_until_the_new_one_is(
    folder, never_stopped, monkeypatch
):
    output = folder / "old"
    shutil.copytree(folder / "whole", output)
    other = {"overwrite": True, "seed": 3}
    with monkeypatch.context() as patch, pytest.raises(Killed):
        stop_at(patch, 6, Killed())
        run(folder, "old", **other)
    assert_same_bits(output, folder / "whole")
    assert json.loads((output / "finetune.json").read_text()) == never_stopped
    # Without the option the old model is safe; with it the run goes on.
    with pytest.raises(DataError, match="is not empty"):
        run(folder, "old", seed=3)
    summary = run(folder, "old", **other)
    assert (summary["first_step"], summary["seed"]) == (4, 3)
    assert json.loads((output / "finetune.json").read_text()) == summary
    assert load_finetuned(output).task.labels == ("bad", "good")
    events = EventAccumulator(str(output / "logs")).Reload()
    assert [e.step for e in events.Tensors("held_out/accuracy")] == [4, 8, 12]


def test_a_run_is_gone_on_with_only_as_it_was_begun(folder, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(Killed):
        stop_at(patch, 6, Killed())
        run(folder, "begun")
    with pytest.raises(DataError, match="learning_rate was 0.005, now 0.001"):
        run(folder, "begun", learning_rate=1e-3)
    with pytest.raises(DataError, match="digest of the rows was"):
        run(folder, "begun", limit=40)
    # How often it logs may change; overwriting begins anew what was begun in another way.
    with monkeypatch.context() as patch, pytest.raises(Killed):
        stop_at(patch, 7, Killed())
        run(folder, "begun", log_every=1)
    assert run(folder, "begun", overwrite=True, epochs=1, max_steps=3)["first_step"] == 0


def test_a_start_that_has_changed_is_refused(tmp_path):
    """But for what an older version began, which does not say what it began with."""
    output = tmp_path / "out"
    asked = {"run": {"from": "start", START: "crc32:1"}, "rows": {}}
    claim_run(output, asked, overwrite=False)
    other = {"run": {"from": "start", START: "crc32:2"}, "rows": {}}
    with pytest.raises(DataError, match="digest of the start was 'crc32:1', now 'crc32:2'"):
        claim_run(output, other, overwrite=False)
    claim_run(output, other, overwrite=True)
    del asked["run"][START]
    (tmp_path / "out.unfinished/run.json").write_text(json.dumps(asked))
    claim_run(output, other, overwrite=False)


def test_an_output_with_other_files_is_not_replaced(folder, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(DataError, match="holds what no fine-tuning wrote: thesis.tex"):
        run(folder, tmp_path, overwrite=True)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_second_process_on_one_output_is_refused(folder, capsys):
    with locked(folder / "shared"):
        assert main(command(folder, "shared")) == 1
        assert main(command(folder, "shared", "--seeds", "2")) == 1
    assert capsys.readouterr().err.count("Another process is writing") == 2


@pytest.mark.slow
@pytest.mark.parametrize("where", ["keep_best", "save_step"])
def test_a_full_disk_is_a_sentence_and_the_run_goes_on(
    folder, never_stopped, monkeypatch, capsys, where
):
    with monkeypatch.context() as patch:
        stop_in(patch, run_module, where, 2, full(folder))
        assert main(command(folder, f"full-{where}")) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert main(command(folder, f"full-{where}")) == 0
    assert_same_bits(folder / f"full-{where}", folder / "whole")


def test_curves_have_a_point_every_few_steps(folder, never_stopped):
    events = EventAccumulator(str(folder / "whole/logs")).Reload()

    def steps(name):
        return [event.step for event in events.Tensors(name)]

    for name in ("loss", "accuracy", "learning_rate", "gradient_norm", "tokens_per_second"):
        assert steps(f"train/{name}") == [2, 4, 6, 8, 10, 12]
    assert steps("held_out/loss") == [4, 8, 12]


def test_nan_names_the_step_and_the_save(folder):
    with pytest.raises(TrainingError, match="of step . is .*A lower learning rate"):
        run(folder, "wild", learning_rate=1e30, warmup_share=0.0)
