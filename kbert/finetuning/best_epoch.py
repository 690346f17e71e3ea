"""The callback of fine-tuning: scores each epoch, keeps the best, stops when none gets better."""

import math
from collections.abc import Callable

import keras

from kbert.errors import TrainingError

# What a step reports as it is; of all other numbers the epoch so far is averaged.
_NOT_AVERAGED = ("learning_rate", "loss_scale")


class BestEpoch(keras.callbacks.Callback):
    """Stands before the progress bar and TensorBoard, which show what it adds to the logs.

    Args:
        score: -> scores of the model as it is, or None: then the last epoch is the best.
        keep: saves the model as it is.
        metric: the score that is compared; "loss" is better when lower, others when higher.
        patience: stop after so many epochs in a row without a better one; None never stops.

    Attributes:
        epoch: the best one, counted from 1; None before the first.
        scores: of that epoch.
    """

    def __init__(
        self,
        score: Callable[[], dict] | None,
        keep: Callable[[], None],
        metric: str,
        patience: int | None = None,
    ):
        super().__init__()
        self.score = score
        self.keep = keep
        self.metric = metric
        self.patience = patience
        self.epoch: int | None = None
        self.scores: dict = {}
        self._sums: dict[str, float] = {}

    def on_epoch_begin(self, epoch, logs=None):
        self._sums = {}

    def on_train_batch_end(self, batch, logs=None):
        if not math.isfinite(logs["loss"]):
            raise TrainingError(
                f"The loss became {logs['loss']} in batch {batch + 1} of the epoch. "
                "A lower learning rate or float32 may help."
            )
        for name in logs:
            if name not in _NOT_AVERAGED:
                self._sums[name] = self._sums.get(name, 0.0) + float(logs[name])
                logs[name] = self._sums[name] / (batch + 1)
        self._last = dict(logs)

    def on_epoch_end(self, epoch, logs=None):
        logs.update(self._last)
        if self.score is None:
            self.epoch = epoch + 1
            return
        scores = self.score()
        logs.update({f"val_{k}": v for k, v in scores.items() if isinstance(v, float)})
        if self.epoch is None or self._better(scores[self.metric]):
            self.epoch, self.scores = epoch + 1, scores
            self.keep()
        elif self.patience is not None and epoch + 1 - self.epoch >= self.patience:
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        if self.score is None:
            self.keep()

    def _better(self, value: float) -> bool:
        best = self.scores[self.metric]
        return value < best if self.metric == "loss" else value > best
