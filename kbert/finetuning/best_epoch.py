"""The callback of fine-tuning: scores each epoch, keeps the best, stops when none gets better."""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import keras
from tqdm import tqdm

from kbert.engine.callbacks import Counter, described
from kbert.engine.logs import LogWriter
from kbert.finetuning.settings import EpochChoice


class Best(NamedTuple):
    """An epoch, counted from 1, and its scores on held-out rows."""

    epoch: int
    scores: dict


class BestEpoch(keras.callbacks.Callback):
    """At each epoch's end, and the run's: scores in TensorBoard, in a line, and compared.

    Args:
        counter: of the run.
        steps_per_epoch: batches of all rows.
        score: -> scores of the model as it is, or None: then the last epoch is the best.
        keep: saves the model as it is, the best so far.
        choice: the metric that is compared (see `rank`), and the patience: stop after so many
            epochs in a row without a better one.
        writer: of the run's log folder.
        best: so far, of a run that is resumed.
        silent: print no lines.

    Attributes:
        best: the best epoch; None before the first.
    """

    def __init__(
        self,
        counter: Counter,
        steps_per_epoch: int,
        score: Callable[[], dict] | None,
        keep: Callable[[Best], None],
        choice: EpochChoice,
        *,
        writer: LogWriter,
        best: Best | None = None,
        silent: bool = False,
    ):
        super().__init__()
        self.counter = counter
        self.steps_per_epoch = steps_per_epoch
        self.score = score
        self.keep = keep
        self.choice = choice
        self.writer = writer
        self.best = best
        self.silent = silent
        self._start()

    def _start(self):
        self._sums, self._count = {}, 0

    def on_train_batch_end(self, batch, logs=None):
        self._count += 1
        for name, value in logs.items():
            self._sums[name] = self._sums.get(name, 0.0) + float(value)
        if not self.counter.due(self.steps_per_epoch):
            return
        epoch = -(-self.counter.step // self.steps_per_epoch)
        scores = {} if self.score is None else self.score()
        self._report(epoch, scores)
        self._start()
        if self.score is None:
            self._keep_at_the_end(epoch)
        elif self.best is None or self._is_better(scores):
            self.best = Best(epoch, scores)
            self.keep(self.best)
        if self.is_over():
            self.model.stop_training = True

    def is_over(self) -> bool:
        """Whether no step is left, or patience is; a run that is resumed may find it so."""
        step, patience = self.counter.step, self.choice.patience
        if step == self.counter.end_step:
            return True
        if self.best is None or patience is None or self.score is None:
            return False
        return step // self.steps_per_epoch - self.best.epoch >= patience

    def _keep_at_the_end(self, epoch):
        self.best = Best(epoch, {})
        if self.counter.step == self.counter.end_step:
            self.keep(self.best)

    def _is_better(self, scores):
        return rank(scores, self.choice.metric) > rank(self.best.scores, self.choice.metric)

    def _report(self, epoch, scores):
        numbers = {name: value for name, value in scores.items() if isinstance(value, float)}
        points = {f"held_out/{name}": value for name, value in numbers.items()}
        self.writer.scalars(self.counter.step, points)
        if self.silent:
            return
        means = {name: value / self._count for name, value in self._sums.items()}
        line = f"epoch {epoch}: {', '.join(described(means))}"
        if numbers:
            shown = ", ".join(f"{name} {value:.4f}" for name, value in numbers.items())
            line += f"; held out: {shown}"
        tqdm.write(line)


def rank(scores: Mapping[str, float], metric: str) -> tuple[float, float]:
    """What compares two epochs or runs: the greater is the better one.

    "loss" is better when lower, all other metrics when higher; of two equal ones that with the
    lower loss; NaN is the worst.
    """
    loss = -_number(scores.get("loss", math.inf), math.inf)
    return (loss if metric == "loss" else _number(scores.get(metric, math.nan), -math.inf)), loss


def _number(value: float, instead: float) -> float:
    return instead if math.isnan(value) else value
