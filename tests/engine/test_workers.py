"""Two processes as one run: what one process computes, written by the chief alone, left together.

Each worker is a process of its own (worker.py). They meet on this machine.
"""

import contextlib
import dataclasses
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import safetensors.numpy
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from tests.conftest import ROOT
from tests.engine import worker
from tests.tiny_checkpoint import write_checkpoint, write_rows

# Two processes that import TensorFlow, a pair a test.
pytestmark = pytest.mark.slow

_LONGEST = 600  # Seconds that a pair may take on a machine that does much else.


@dataclasses.dataclass
class Ended:
    """A worker that has ended."""

    code: int
    out: str
    error: str

    @property
    def summary(self):
        assert self.code == 0, self.error[-5000:]
        return json.loads(self.out.splitlines()[-1])


@contextlib.contextmanager
def started(arguments, backend="tensorflow", indices=(0, 1)):
    """Workers of a cluster of two, as processes; `arguments(index)` are those of worker.py.

    An index of None is a process that is alone.
    """
    with socket.socket() as one, socket.socket() as two:
        for port in (one, two):
            port.bind(("", 0))
        hosts = [f"localhost:{port.getsockname()[1]}" for port in (one, two)]
    processes = []
    for index in indices:
        config = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
        told = "" if index is None else json.dumps(config)
        processes.append(begun(arguments(index), told, backend))
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def begun(arguments, tf_config, backend="tensorflow"):
    """A process of worker.py."""
    environment = {
        **os.environ,
        "TF_CONFIG": tf_config,
        "CUDA_VISIBLE_DEVICES": "-1",
        "JAX_PLATFORMS": "cpu",
        "KERAS_BACKEND": backend,
    }
    command = [sys.executable, "-m", "tests.engine.worker", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=ROOT, env=environment, **pipes)


def end(processes):
    found = [process.communicate(timeout=_LONGEST) for process in processes]
    return [Ended(p.returncode, *texts) for p, texts in zip(processes, found, strict=True)]


def run(*arguments, backend="tensorflow"):
    """Two workers to their end; each has an output of its own, which only the chief's is."""
    *what, output = arguments
    changes = what.pop() if isinstance(what[-1], dict) else {}

    def of(index):
        return [*what, output if index == 0 else f"{output}-other", json.dumps(changes)]

    with started(of, backend) as processes:
        return end(processes)


def losses(folder):
    events = EventAccumulator(str(folder / "logs"), {"tensors": 0}).Reload()
    return [float(make_ndarray(event.tensor_proto)) for event in events.Tensors("train/loss")]


def weights(folder):
    return safetensors.numpy.load_file(folder / "model.safetensors")


def assert_close(ours, theirs):
    ours, theirs = weights(ours), weights(theirs)
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_allclose(array, theirs[name], atol=1e-5, err_msg=name)


def assert_same_bits(ours, theirs):
    ours, theirs = weights(ours), weights(theirs)
    assert {name: array.tobytes() for name, array in ours.items()} == {
        name: array.tobytes() for name, array in theirs.items()
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("workers")


@pytest.fixture(scope="module")
def pair(folder, tiny_store):
    """A run of 20 steps by two workers, without dropout: its folder, and how they ended."""
    output = folder / "two"
    return output, run("pretrain", tiny_store, output)


@pytest.fixture(scope="module")
def alone(folder, tiny_store):
    """The same run in this process."""
    return folder / "one", worker.pretrain(tiny_store, folder / "one")


def test_two_workers_train_as_one_process(pair, alone):
    assert len(losses(alone[0])) == 20 and np.ptp(losses(alone[0])) > 0.1
    np.testing.assert_allclose(losses(pair[0]), losses(alone[0]), atol=1e-5, rtol=0)
    assert_close(pair[0], alone[0])


def test_held_out_scores_are_those_of_all_rows(pair, alone):
    for ended in pair[1]:
        assert ended.summary["steps"] == 20
        assert ended.summary["held_out"] == pytest.approx(alone[1]["held_out"], rel=1e-5)


def test_only_the_chief_writes(pair, folder):
    written = {path.relative_to(pair[0]).parts[0] for path in pair[0].rglob("*") if path.is_file()}
    assert written == {"run.json", "model.safetensors", "config.json", "vocab.txt", "steps", "logs"}
    assert not (folder / "two-other").exists()


def test_a_run_goes_on_bit_for_bit_though_a_worker_was_killed(folder, tiny_store):
    """With dropout, whose masks are drawn by replica and step."""
    changes = {"dropout": 0.1, "num_steps": 40}
    whole, killed = folder / "whole", folder / "killed"
    [ended.summary for ended in run("pretrain", tiny_store, changes, whole)]

    def of(index):
        output = killed if index == 0 else f"{killed}-other"
        return ["pretrain", tiny_store, output, json.dumps(changes)]

    for victim in (1, 0):
        with started(of) as processes:
            saves = len(list(killed.glob("steps/*")))
            while len(list(killed.glob("steps/*"))) <= min(saves, 2):
                assert processes[victim].poll() is None, processes[victim].communicate()
                time.sleep(0.01)
            processes[victim].kill()
            began = time.monotonic()
            other = end([processes[1 - victim]])[0]
            assert time.monotonic() - began < 60
        assert other.code == 1
        assert "Another of the 2 workers has gone" in other.error
        assert len(other.error.splitlines()[-1]) < 400 and "Traceback" not in other.error
    first_steps = [e.summary["first_step"] for e in run("pretrain", tiny_store, changes, killed)]
    assert first_steps[0] == first_steps[1] > 0
    assert_same_bits(killed, whole)


@pytest.mark.parametrize("told", [0, 1])
def test_all_stop_when_one_is_told_to(folder, tiny_store, told):
    output = folder / f"stopped-{told}"

    def of(index):
        return ["pretrain", tiny_store, output, json.dumps({"num_steps": 100_000})]

    with started(of) as processes:
        while not list(output.glob("steps/*")):
            assert processes[told].poll() is None, processes[told].communicate()
            time.sleep(0.01)
        processes[told].send_signal(signal.SIGTERM)
        ended = end(processes)
    assert [each.code for each in ended] == [128 + signal.SIGTERM] * 2
    steps = {each.error.splitlines()[-1] for each in ended}
    assert len(steps) == 1, "they stopped after different steps"


def test_a_mistake_that_the_chief_finds_is_told_by_all(pair, tiny_store):
    for ended in run("pretrain", tiny_store, {"num_steps": 21}, pair[0]):
        assert ended.code == 1 and "is finished after 20 steps" in ended.error.splitlines()[-1]


def test_a_worker_that_does_not_come_is_named(folder, tiny_store):
    began = time.monotonic()
    with started(lambda _: ["pretrain", tiny_store, folder / "never"], indices=(1,)) as processes:
        [ended] = end(processes)
    assert time.monotonic() - began < 60
    assert ended.code == 1 and "no answer from worker 0" in ended.error.splitlines()[-1]


@pytest.fixture(scope="module")
def ports():
    """One that another program listens at, and two that are free."""
    with socket.create_server(("localhost", 0)) as taken, socket.socket() as one:
        with socket.socket() as two:
            for port in (one, two):
                port.bind(("", 0))
            free = [port.getsockname()[1] for port in (one, two)]
        one.close()
        yield {"taken": taken.getsockname()[1], "one": free[0], "two": free[1]}


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
@pytest.mark.parametrize(
    ("workers", "index", "message"),
    [
        (["one", "two"], "0", "must be one of its cluster's"),
        (["one", "two"], 2, "must be one of its cluster's"),
        (["one", "one"], 0, "an address of its own"),
        (["taken", "two"], 0, "cannot listen at port"),
        (["one", "two"], 0, "no answer from worker 1 .*Connection refused"),
        (["one", "taken"], 0, "no answer from worker 1 .*no worker of this run"),
    ],
)
def test_a_wrong_tf_config_is_a_sentence(
    folder, tiny_store, ports, workers, index, message, backend
):
    if backend == "jax":
        pytest.importorskip("jax")
    hosts = [f"localhost:{ports[name]}" for name in workers]
    config = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
    process = begun(["pretrain", tiny_store, folder / "none"], json.dumps(config), backend)
    try:
        [ended] = end([process])
    finally:
        process.kill()
    last = ended.error.splitlines()[-1]
    assert ended.code == 1 and re.search(message, last) and len(last) < 500
    assert "Traceback" not in ended.error and not (folder / "none").exists()


def test_two_workers_on_jax_train_as_one_process(folder, tiny_store):
    """With dropout: there a mask is one of the whole batch."""
    pytest.importorskip("jax")
    one, two, changes = folder / "jax-one", folder / "jax-two", {"dropout": 0.1}
    ended = run("pretrain", tiny_store, changes, two, backend="jax")
    command = ["pretrain", tiny_store, one, json.dumps(changes)]
    with started(lambda _: command, backend="jax", indices=(None,)) as processes:
        [alone] = end(processes)
    assert len(losses(one)) == 20 and np.ptp(losses(one)) > 0.1
    np.testing.assert_allclose(losses(two), losses(one), atol=1e-5, rtol=0)
    assert_close(two, one)
    for each in ended:
        assert each.summary["held_out"] == pytest.approx(alone.summary["held_out"], rel=1e-5)
    assert not (folder / "jax-two-other").exists()


def test_two_workers_fine_tune_as_one_process(folder):
    start = write_checkpoint(folder / "start")
    write_rows(folder / "train.tsv", 60, seed=1)
    write_rows(folder / "dev.tsv", 20, seed=2)
    files = start, folder / "train.tsv", folder / "dev.tsv"
    alone = worker.finetune(*files, folder / "tuned")
    ended = run("finetune", *files, folder / "tuned-by-two")
    for each in ended:
        scores = each.summary["scores"]
        assert scores["confusion_matrix"] == alone["scores"]["confusion_matrix"]
        assert _numbers(scores) == pytest.approx(_numbers(alone["scores"]), abs=1e-4)
        assert (each.summary["steps"], each.summary["best_epoch"]) == (8, alone["best_epoch"])
    assert_close(folder / "tuned-by-two", folder / "tuned")
    assert not list(folder.glob("tuned-by-two-other*"))


def _numbers(scores):
    return {name: value for name, value in scores.items() if isinstance(value, int | float)}
