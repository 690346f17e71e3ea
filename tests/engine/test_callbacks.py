"""The callbacks of pre-training, each alone with a model that is a stand-in."""

import itertools
import os
import signal
from types import SimpleNamespace

import pytest

from kbert.engine import callbacks
from kbert.engine.callbacks import Curves, HeldOut, Progress, Saves, StopAtNaN
from kbert.errors import TrainingError

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
    for number in range(count):
        callback.on_train_batch_end(number, {**SCORES, **(logs or {})})


@pytest.mark.parametrize("name", ["loss", "gradient_norm"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_number_stops_the_run(name, value):
    callback = attached(StopAtNaN(40, lambda: "runs/x/steps/00000040"))
    steps(callback, 2)
    message = f"The {name.replace('_', ' ')} of step 43 is {value}.*runs/x/steps/00000040"
    with pytest.raises(TrainingError, match=message):
        steps(callback, 1, {name: value})


def test_under_float16_a_gradient_may_overflow_but_no_loss():
    callback = StopAtNaN(0, lambda: "none")
    callback.set_model(SimpleNamespace(scales_loss=True))
    steps(callback, 1, {"gradient_norm": float("inf")})
    with pytest.raises(TrainingError, match="loss of step 2 is nan"):
        steps(callback, 1, {"loss": float("nan")})


def test_curves_are_means_since_the_last_point(monkeypatch):
    seconds = itertools.count(0, 2)
    monkeypatch.setattr(callbacks.time, "perf_counter", lambda: next(seconds))
    recorder = Recorder()
    callback = Curves(recorder, first_step=3, every=4, tokens_of=lambda step: 10**step)
    for loss in (9.0, 1.0, 2.0, 3.0, 4.0, 5.0):
        steps(callback, 1, {"loss": loss})
    # Resumed after step 3, so the first point, at step 4, has one step.
    assert [step for step, _ in recorder.points] == [4, 8]
    assert recorder.points[0][1]["train/loss"] == 9
    assert recorder.points[1][1]["train/loss"] == pytest.approx((1 + 2 + 3 + 4) / 4)
    # Steps count from 0, and the clock is read at the start and once or twice a point.
    rates = [point["train/tokens_per_second"] for _, point in recorder.points]
    assert rates == [10**3 / 2, (10**4 + 10**5 + 10**6 + 10**7) / 2]
    assert {f"train/{name}" for name in SCORES} <= set(recorder.points[0][1])


def test_held_out_scores_every_so_often_and_at_the_end(capsys):
    recorder = Recorder()
    callback = HeldOut("rows", recorder, first_step=2, num_steps=7, every=3)
    attached(callback, evaluate_sums=lambda dataset: {**SCORES, "seen": dataset})
    steps(callback, 5)
    assert [step for step, _ in recorder.points] == [3, 6, 7]
    assert recorder.points[0][1]["held_out/masked_lm_accuracy"] == 0.25
    assert callback.scores["seen"] == "rows"
    out = capsys.readouterr().out
    assert "step 6, held out: masked LM loss 2.500, accuracy 25.0%" in out
    assert "next sentence loss 0.500, accuracy 75.0%" in out


def test_progress_shows_losses_and_speed(capsys):
    seen = []
    callback = Progress(10, 20, batch_size=4, tokens_of=lambda step: seen.append(step) or 50)
    steps(callback, 3)
    assert seen == [10, 11, 12]
    callback.bar.refresh()
    callback.on_train_end()
    err = capsys.readouterr().err
    assert "13/20" in err
    assert "loss 3.000, masked 2.500 25.0%, next 0.500 75%" in err
    assert "rows/s" in err and "tokens/s" in err


@pytest.fixture
def ctrl_c():
    """Python's own answer to Ctrl-C, also where the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def saving(first_step=0, num_steps=10, every=4):
    saved = []
    callback = Saves(lambda: saved.append(callback.step), first_step, num_steps, every)
    return attached(callback), saved


def test_saves_every_so_often_and_at_the_end():
    callback, saved = saving(first_step=3)
    steps(callback, 7)
    assert saved == [4, 8, 10]
    assert not callback.model.stop_training


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_waits_for_the_steps_end_and_saves(number):
    before = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)]
    callback, saved = saving()
    with callback.listening():
        steps(callback, 1)
        os.kill(os.getpid(), number)
        assert callback.stopped_by == number
        assert saved == [] and not callback.model.stop_training
        steps(callback, 1)
        assert saved == [2] and callback.model.stop_training
    assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)] == before


def test_a_second_ctrl_c_does_not_wait(ctrl_c):
    callback, saved = saving()
    with pytest.raises(KeyboardInterrupt), callback.listening():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
    assert saved == []
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_signal_at_a_step_that_saves_anyway_saves_once():
    callback, saved = saving()
    with callback.listening():
        steps(callback, 3)
        os.kill(os.getpid(), signal.SIGTERM)
        steps(callback, 1)
    assert saved == [4]
