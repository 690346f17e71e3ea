"""The callbacks of a run, each alone with a model that is a stand-in."""

import fcntl
import gc
import itertools
import os
import signal
import struct
import termios
import threading
from types import SimpleNamespace

import pytest

from kbert.engine import callbacks
from kbert.engine.callbacks import Counter, Curves, HeldOut, Progress, Saves, StopAtNaN
from kbert.errors import Stopped, TrainingError

SCORES = {
    "loss": 3.0,
    "masked_lm_loss": 2.5,
    "masked_lm_accuracy": 0.25,
    "next_sentence_loss": 0.5,
    "next_sentence_accuracy": 0.75,
    "gradient_norm": 1.0,
}


class Recorder:
    """A LogWriter that remembers."""

    def __init__(self):
        self.points = []

    def scalars(self, step, values):
        self.points.append((step, values))


def attached(callback, **model):
    callback.set_model(SimpleNamespace(scales_loss=False, stop_training=False, **model))
    return callback


def steps(callback, count, logs=None):
    """`count` steps, counted first, as in a run."""
    for number in range(count):
        for each in (callback.counter, callback):
            each.on_train_batch_end(number, {**SCORES, **(logs or {})})


def test_the_counter_knows_what_is_due():
    counter = Counter(3, 9)
    due = []
    for number in range(6):
        counter.on_train_batch_end(number)
        due.append((counter.due(4), counter.due(4, 5)))
    assert [step for step, (four, _) in enumerate(due, 4) if four] == [4, 8, 9]
    assert [step for step, (_, both) in enumerate(due, 4) if both] == [4, 5, 8, 9]


@pytest.mark.parametrize("name", ["loss", "gradient_norm"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_stops_the_run(name, value):
    callback = attached(StopAtNaN(Counter(40, 50), lambda: "runs/x/steps/00000040"))
    steps(callback, 2)
    message = f"The {name.replace('_', ' ')} of step 43 is {value}.*runs/x/steps/00000040"
    with pytest.raises(TrainingError, match=message):
        steps(callback, 1, {name: value})


def test_under_float16_a_gradient_may_overflow_but_no_loss():
    callback = StopAtNaN(Counter(0, 9), lambda: "none")
    callback.set_model(SimpleNamespace(scales_loss=True))
    steps(callback, 1, {"gradient_norm": float("inf"), "loss_scale": 2.0**15})
    with pytest.raises(TrainingError, match="loss of step 2 is nan"):
        steps(callback, 1, {"loss": float("nan"), "loss_scale": 2.0**15})


def test_under_float16_gradients_that_overflow_without_an_end_stop_the_run():
    callback = StopAtNaN(Counter(0, 99), lambda: "none")
    callback.set_model(SimpleNamespace(scales_loss=True))
    steps(callback, 1, {"loss_scale": 1e-6})
    with pytest.raises(TrainingError, match="gradient norm of step 31 is inf"):
        for halved in range(40):
            steps(callback, 1, {"gradient_norm": float("inf"), "loss_scale": 2.0 ** (15 - halved)})


def test_curves_are_means_since_the_last_point(monkeypatch):
    seconds = itertools.count(0, 2)
    monkeypatch.setattr(callbacks.time, "perf_counter", lambda: next(seconds))
    recorder = Recorder()
    callback = Curves(recorder, Counter(3, 10), every=4, tokens_of=lambda step: 10**step)
    for loss in (9.0, 1.0, 2.0, 3.0, 4.0, 5.0, 7.0):
        steps(callback, 1, {"loss": loss})
    # Resumed after step 3, so the first point, at step 4, has one step; the last is the end's.
    assert [step for step, _ in recorder.points] == [4, 8, 10]
    assert recorder.points[0][1]["train/loss"] == 9
    assert recorder.points[1][1]["train/loss"] == pytest.approx((1 + 2 + 3 + 4) / 4)
    assert recorder.points[2][1]["train/loss"] == pytest.approx((5 + 7) / 2)
    # Steps count from 0, and the clock is read at the start and once or twice a point.
    rates = [point["train/tokens_per_second"] for _, point in recorder.points[:2]]
    assert rates == [10**3 / 2, (10**4 + 10**5 + 10**6 + 10**7) / 2]
    assert {f"train/{name}" for name in SCORES} <= set(recorder.points[0][1])


def test_held_out_scores_every_so_often_and_at_the_end(capsys):
    recorder = Recorder()
    callback = HeldOut("rows", recorder, Counter(2, 7), every=3)
    attached(callback, evaluate_sums=lambda dataset: {**SCORES, "seen": dataset})
    steps(callback, 5)
    assert [step for step, _ in recorder.points] == [3, 6, 7]
    assert recorder.points[0][1]["held_out/masked_lm_accuracy"] == 0.25
    assert callback.scores["seen"] == "rows"
    line = "step 6, held out: loss 3.000, masked lm 2.500 25.0%, next sentence 0.500 75.0%\n"
    assert line in capsys.readouterr().out


@pytest.fixture
def lines(monkeypatch):
    """`lines(columns)`: the lines that a bar shows on a terminal of this width."""

    def show(columns, **options):
        ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 25, columns, 0, 0))
        seen = []
        with open(theirs, "w") as terminal, monkeypatch.context() as patch:
            patch.setattr("sys.stderr", terminal)
            counter = Counter(99_990, 1_000_000)
            callback = Progress(
                counter, "pretrain", 1_000_000, 256, lambda s: seen.append(s) or 50, **options
            )
            steps(callback, 3)
            callback.bar.refresh()
            callback.on_train_end()
            terminal.write("end")
            terminal.flush()
            shown = ""
            while "end" not in shown:
                shown += os.read(ours, 9999).decode()
        os.close(ours)
        assert seen in ([], [99_990, 99_991, 99_992])
        return shown.replace("\n", "\r").split("\r")[:-1]

    return show


def test_progress_is_one_line_with_what_has_room(lines):
    narrow, wide = (next(line for line in lines(n)[::-1] if line.strip()) for n in (80, 200))
    assert len(narrow.strip()) < 80
    for line in (narrow, wide):
        assert line.startswith("pretrain 10% 99993/1000000 00:00<")
        assert "loss 3.000" in line
    assert "masked lm 2.500 25.0%, next sentence 0.500 75.0%" in wide
    assert "rows/s" in wide and wide.strip().endswith("tokens/s")


def test_no_bar_without_a_terminal_or_where_it_is_hidden(lines, capsys):
    assert lines(80, hidden=True) == []
    steps(Progress(Counter(0, 3), "finetune", 3, 8, lambda step: 9), 3)
    assert capsys.readouterr().err == ""


@pytest.fixture
def ctrl_c():
    """Python's own answer to Ctrl-C, also where the tests run in the background.

    Python drops an exception within a callback of the garbage collector, which hypothesis has.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.disable()
    yield
    gc.enable()
    signal.signal(signal.SIGINT, before)


def saving(first_step=0, num_steps=10, every=4):
    saved = []
    counter = Counter(first_step, num_steps)
    callback = Saves(lambda: saved.append(counter.step), counter, every)
    return attached(callback), saved


def test_saves_every_so_often_and_at_the_end():
    callback, saved = saving(first_step=3)
    steps(callback, 7)
    assert saved == [4, 8, 10]
    assert not callback.model.stop_training


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_waits_for_the_steps_end_and_saves(number):
    before = [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)]
    callback, saved = saving()
    with pytest.raises(Stopped, match="Stopped and saved at step 2") as stop:
        with callback.listening():
            steps(callback, 1)
            os.kill(os.getpid(), number)
            assert callback.stopped_by == number
            assert saved == [] and not callback.model.stop_training
            steps(callback, 1)
            assert saved == [2] and callback.model.stop_training
    assert stop.value.signal == number
    assert [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)] == before


def test_a_second_ctrl_c_does_not_wait(ctrl_c):
    callback, saved = saving()
    with pytest.raises(KeyboardInterrupt) as stop, callback.listening():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
    assert saved == [] and not isinstance(stop.value, Stopped)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_signal_at_a_step_that_saves_anyway_saves_once():
    callback, saved = saving()
    with pytest.raises(Stopped), callback.listening():
        steps(callback, 3)
        os.kill(os.getpid(), signal.SIGTERM)
        steps(callback, 1)
    assert saved == [4]


def test_in_another_thread_a_run_does_not_listen_but_works():
    callback, saved = saving()
    failed = []

    def work():
        try:
            with callback.listening():
                steps(callback, 4)
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert saved == [4] and not failed
