"""`python -m apps.pretrain`, killed, stopped and started again: the end is always the same."""

import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest
import safetensors.numpy

from apps import cli
from kbert import BertConfig, Checkpoint, WordPieceTokenizer, build_pretraining_model, load, save
from kbert.checkpoints.hubs import read_source
from kbert.files import write_json
from tests.conftest import ROOT

STEPS, SAVE_EVERY = 20, 5

# Runs apps.pretrain and sends itself a signal at a step: `code SIGNAL STEP MOMENT arguments ...`.
# MOMENT "step": as soon as the step has been computed. "save": half-way through the first save from
# that step on, when the weights are written and the optimizer's state is not.
SIGNALLED = """
import os, runpy, signal, sys
from kbert.tensorflow_start import import_tensorflow_quietly
import_tensorflow_quietly()  # as the command does
number, step, moment = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
sys.argv[:] = ["apps.pretrain", *sys.argv[4:]]
import keras
from kbert.engine import saving
from kbert.engine import tensorflow as train_step

class Signal(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if moment == "step" and int(self.model.data_step.value) == step:
            os.kill(os.getpid(), number)

fit, write_arrays = train_step.TrainingModel.fit, saving.write_arrays

def signalling_fit(self, *args, callbacks=(), **options):
    return fit(self, *args, callbacks=[Signal(), *callbacks], **options)

def signalling_write(path, arrays):
    if moment == "save" and arrays["data_step"] >= step:
        os.kill(os.getpid(), number)
    write_arrays(path, arrays)

train_step.TrainingModel.fit = signalling_fit
saving.write_arrays = signalling_write
runpy.run_module("apps.pretrain", run_name="__main__")
"""


SOURCE = {"from": "hf:owner/name@1", "licence": "mit"}


@pytest.fixture(scope="module")
def arguments(tiny_store, tiny_vocabulary, tmp_path_factory):
    """A small model to start from, with the paper's dropout; XLA and float32 are the defaults."""
    start = tmp_path_factory.mktemp("start")
    config = BertConfig(
        len(tiny_vocabulary),
        num_layers=1,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=16,
        max_sequence_length=16,
    )
    tokenizer = WordPieceTokenizer(tiny_vocabulary)
    save(start, Checkpoint(build_pretraining_model(config), tokenizer, config))
    write_json(start / "source.json", SOURCE)
    options = {
        "from": start,
        "num-steps": STEPS,
        "save-every": SAVE_EVERY,
        "batch-size": 4,
        "sequence-length": 16,
        "learning-rate": 0.01,
        "warmup-steps": 3,
        "log-every": 5,
        "validate-every": 10,
        "validation-batches": 2,
    }
    return [str(tiny_store), *(f"--{name}={value}" for name, value in options.items())]


@pytest.fixture(scope="module")
def never_stopped(arguments, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "run"
    pretrain(arguments, run)
    return run


def pretrain(arguments, run):
    """As a user does: in this process TensorFlow has begun, and XLA compiles another form."""
    command = [sys.executable, "-m", "apps.pretrain", *arguments, f"--output={run}"]
    subprocess.run(command, cwd=ROOT, check=True)


def signalled(number, step, moment, arguments, run):
    """In a process of its own; returns its exit status, output and errors."""
    command = [sys.executable, "-c", SIGNALLED, str(int(number)), str(step), moment]
    result = subprocess.run(
        [*command, *arguments, f"--output={run}"], cwd=ROOT, capture_output=True, text=True
    )
    return result.returncode, result.stdout, result.stderr


def changed(arguments, **options):
    """The arguments with other values; an option is given once."""
    given = {f"--{name.replace('_', '-')}=": value for name, value in options.items()}
    kept = [argument for argument in arguments if not argument.startswith(tuple(given))]
    return [*kept, *(f"{name}{value}" for name, value in given.items())]


def saved(run):
    return sorted(int(folder.name) for folder in (run / "steps").glob("[0-9]*"))


def assert_same_bits(one, two):
    first, second = (safetensors.numpy.load_file(run / "model.safetensors") for run in (one, two))
    assert set(first) == set(second)
    for name, array in first.items():
        assert array.tobytes() == second[name].tobytes(), f"{name} differs"


@pytest.mark.slow
def test_killed_and_stopped_at_random_steps_it_ends_bit_for_bit_the_same(
    arguments, never_stopped, tmp_path
):
    """One run, killed behind a step, resumed and killed within a save, resumed and told to stop."""
    run, draw = tmp_path / "run", random.SystemRandom().randrange
    step, saving, stop = draw(1, SAVE_EVERY), draw(SAVE_EVERY + 1, STEPS // 2 + 1), draw(11, 15)
    print(f"killed at step {step} and the save of step {saving}, stopped at {stop}")
    status, _, errors = signalled(signal.SIGKILL, step, "step", arguments, run)
    assert status == -signal.SIGKILL, errors[-3000:]
    assert saved(run) == []
    status, _, errors = signalled(signal.SIGKILL, saving, "save", arguments, run)
    assert status == -signal.SIGKILL, errors[-3000:]
    assert saved(run) == [SAVE_EVERY]
    status, _, errors = signalled(signal.SIGTERM, stop, "step", arguments, run)
    assert status == 143, errors[-3000:]
    assert f"Stopped and saved at step {stop}. The same command goes on from there." in errors
    assert saved(run) == [SAVE_EVERY, 2 * SAVE_EVERY, stop]
    assert not (run / "model.safetensors").exists()
    pretrain(arguments, run)
    assert_same_bits(run, never_stopped)


def test_ctrl_c_exits_with_130_after_saving(arguments, tmp_path, capsys):
    """In this process: a thread presses Ctrl-C once the first save is there."""
    run = tmp_path / "run"
    long = changed(arguments, num_steps=100 * STEPS, save_every=1, validate_every=9999)

    def press():
        deadline = time.monotonic() + 300
        while not list((run / "steps").glob("[0-9]*")) and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    status = cli.main(["pretrain", *long, f"--output={run}"])
    thread.join()
    assert status == 130
    captured = capsys.readouterr()
    last = saved(run)[-1]
    sentence = f"Stopped and saved at step {last}. The same command goes on from there."
    assert captured.err.endswith(f"kbert pretrain: {sentence}\n")


def test_a_rate_far_too_high_ends_with_1_and_names_step_and_checkpoint(arguments, tmp_path, capsys):
    run = tmp_path / "run"
    wild = changed(arguments, learning_rate="1e30", warmup_steps=0, save_every=1)
    assert cli.main(["pretrain", *wild, f"--output={run}"]) == 1
    _, _, error = capsys.readouterr().err.partition("kbert pretrain: error: ")
    assert error.startswith("The ")
    (last,) = saved(run)[-1:]
    assert f"of step {last + 1} is " in error
    assert f"The last good checkpoint is {run}/steps/{last:08d}." in error
    assert not (run / "model.safetensors").exists()
    load(run / "steps" / f"{last:08d}")  # it is whole, and all its weights are numbers


def test_other_settings_in_the_same_folder_are_refused(arguments, never_stopped, capsys):
    other = [*arguments, "--seed=1", f"--output={never_stopped}"]
    assert cli.main(["pretrain", *other]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "seed was 0, now 1" in error


def test_a_run_says_which_model_of_a_hub_it_began_with(never_stopped):
    assert read_source(never_stopped) == SOURCE


def test_how_often_it_saves_may_change(arguments, never_stopped, capsys):
    other = changed(arguments, save_every=2, log_every=1)
    assert cli.main(["pretrain", *other, f"--output={never_stopped}"]) == 0
    assert f"is a checkpoint after {STEPS} steps" in capsys.readouterr().out
