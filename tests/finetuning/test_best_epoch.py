"""Which epoch is kept, when a run ends, and what it says of each."""

from types import SimpleNamespace

import pytest

from kbert.engine.callbacks import Counter
from kbert.finetuning.best_epoch import Best, BestEpoch, rank
from kbert.finetuning.settings import EpochChoice

NAN = float("nan")


class Recorder:
    """A LogWriter that remembers."""

    def __init__(self):
        self.points = []

    def scalars(self, step, values):
        self.points.append((step, values))


def follow(metric, patience, scores, first=0, best=None):
    """Epochs of two steps with these scores, from epoch `first` on -> the callback, epochs kept."""
    left, kept = iter(scores), []
    counter = Counter(2 * first, 2 * (first + len(scores)))
    callback = BestEpoch(
        counter,
        2,
        lambda: next(left),
        lambda best: kept.append(best.epoch),
        EpochChoice(metric, patience),
        writer=Recorder(),
        best=best,
        silent=True,
    )
    model = SimpleNamespace(stop_training=False)
    callback.set_model(model)
    while not model.stop_training:
        for each in (counter, callback):
            each.on_train_batch_end(0, {"loss": 1.0})
    return callback, kept


def numbers(name, values):
    return [{name: value} for value in values]


def test_the_best_epoch_is_kept_and_patience_ends():
    for patience, expected in ((2, (2, [1, 2], 4)), (None, (5, [1, 2, 5], 5))):
        callback, kept = follow("f1", patience, numbers("f1", [0.5, 0.7, 0.7, 0.6, 0.9]))
        assert (callback.best.epoch, kept, callback.counter.step / 2) == expected
    callback, kept = follow("loss", 1, numbers("loss", [0.5, 0.4, 0.6, 0.1]))
    assert (callback.best.epoch, kept, callback.counter.step / 2) == (2, [1, 2], 3)


def test_of_two_equal_epochs_that_with_the_lower_loss_is_kept():
    scores = [{"f1": 0.7, "loss": loss} for loss in (0.5, 0.6, 0.4)]
    callback, kept = follow("f1", None, scores)
    assert callback.best == Best(3, {"f1": 0.7, "loss": 0.4}) and kept == [1, 3]


def test_nan_is_the_worst_score():
    assert follow("pearson", None, numbers("pearson", [NAN, -0.5, NAN]))[1] == [1, 2]
    assert follow("loss", None, numbers("loss", [NAN, 9.0]))[1] == [1, 2]
    assert rank({"f1": NAN}, "f1") < rank({"f1": 0.0}, "f1")
    assert rank({"f1": 0.5, "loss": NAN}, "f1") < rank({"f1": 0.5, "loss": 7.0}, "f1")


def test_a_run_that_is_resumed_knows_the_best_epoch_and_whether_it_is_over():
    callback, kept = follow("f1", None, numbers("f1", [0.6, 0.8]), 2, Best(2, {"f1": 0.7}))
    assert callback.best.epoch == 4 and kept == [4]
    counter, choice = Counter(8, 20), EpochChoice("f1", 2)
    for epoch, over in ((2, True), (3, False)):
        best = Best(epoch, {"f1": 0.7})
        callback = BestEpoch(counter, 2, dict, print, choice, writer=Recorder(), best=best)
        assert callback.is_over() == over


def test_without_held_out_rows_the_last_epoch_is_kept():
    kept, counter = [], Counter(0, 5)
    callback = BestEpoch(
        counter, 2, None, kept.append, EpochChoice("f1", 1), writer=Recorder(), silent=True
    )
    callback.set_model(SimpleNamespace(stop_training=False))
    for _ in range(5):
        for each in (counter, callback):
            each.on_train_batch_end(0, {"loss": 1.0})
    assert kept == [Best(3, {})]  # Of five steps: the third epoch is half of one.


def test_the_line_and_the_point_of_an_epoch(capsys):
    counter, writer = Counter(0, 2), Recorder()
    callback = BestEpoch(
        counter,
        2,
        lambda: {"f1": 0.5, "rows": 7},
        lambda best: None,
        EpochChoice("f1"),
        writer=writer,
    )
    callback.set_model(SimpleNamespace(stop_training=False))
    for loss in (2.0, 1.0):
        for each in (counter, callback):
            each.on_train_batch_end(0, {"loss": loss, "accuracy": 0.25})
    assert capsys.readouterr().out == "epoch 1: loss 1.500 25.0%; held out: f1 0.5000\n"
    assert writer.points == [(2, {"held_out/f1": 0.5})]
    assert callback.best.scores == {"f1": 0.5, "rows": 7}


@pytest.mark.parametrize("metric", ["f1", "loss"])
def test_a_metric_that_is_missing_ranks_last(metric):
    assert rank({}, metric) <= rank({metric: NAN}, metric) < rank({metric: 0.0}, metric)
