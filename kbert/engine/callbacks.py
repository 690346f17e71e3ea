"""What happens between pre-training steps: progress, curves, held-out scores, saves, stops."""

import contextlib
import math
import signal
import time
from collections.abc import Callable

import keras
from tqdm import tqdm

from kbert.engine.logs import LogWriter
from kbert.errors import TrainingError


class StopAtNaN(keras.callbacks.Callback):
    """Raises `TrainingError` when the loss, or a gradient outside float16, is no number.

    The weights are still those of the step before: such a gradient is never applied.
    """

    def __init__(self, first_step: int, last_save: Callable[[], str]):
        super().__init__()
        self.step = first_step
        self.last_save = last_save

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        # Under float16 a gradient that overflows is ordinary: the step halves the loss scale.
        names = ["loss"] if self.model.scales_loss else ["loss", "gradient_norm"]
        for name in names:
            if not math.isfinite(logs[name]):
                raise TrainingError(
                    f"The {name.replace('_', ' ')} of step {self.step} is {logs[name]}. "
                    f"The last good checkpoint is {self.last_save()}. "
                    "A lower learning rate or a longer warm-up may help."
                )


class Progress(keras.callbacks.Callback):
    """A bar with losses, accuracies, rows and tokens a second and the time left.

    Args:
        first_step, num_steps: where this run starts and ends.
        batch_size: rows of a batch.
        tokens_of: the tokens of the batch of a step; padding is none.
    """

    def __init__(self, first_step, num_steps, batch_size, tokens_of: Callable[[int], int]):
        super().__init__()
        self.bar = tqdm(
            initial=first_step, total=num_steps, unit="step", desc="pretrain", mininterval=1
        )
        self.batch_size = batch_size
        self.tokens_of = tokens_of
        self.first_step = self.step = first_step
        self.tokens = 0

    def on_train_batch_end(self, batch, logs=None):
        self.tokens += self.tokens_of(self.step)
        self.step += 1
        self.bar.update()
        rate = self.bar.format_dict["rate"] or 0
        self.bar.set_postfix_str(
            f"loss {logs['loss']:.3f}, masked {logs['masked_lm_loss']:.3f} "
            f"{logs['masked_lm_accuracy']:.1%}, next {logs['next_sentence_loss']:.3f} "
            f"{logs['next_sentence_accuracy']:.0%}, {rate * self.batch_size:.0f} rows/s, "
            f"{rate * self.tokens / (self.step - self.first_step):.0f} tokens/s",
            refresh=False,
        )

    def on_train_end(self, logs=None):
        self.bar.close()


class Curves(keras.callbacks.Callback):
    """Training curves in TensorBoard, each point the mean of the steps since the last one.

    Args:
        writer: of the run's log folder.
        first_step: where this run starts.
        every: steps between points.
        tokens_of: the tokens of the batch of a step; padding is none.
    """

    def __init__(
        self, writer: LogWriter, first_step: int, every: int, tokens_of: Callable[[int], int]
    ):
        super().__init__()
        self.writer = writer
        self.step = first_step
        self.every = every
        self.tokens_of = tokens_of
        self._start()

    def _start(self):
        self.sums, self.count, self.tokens, self.since = {}, 0, 0, time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self.tokens += self.tokens_of(self.step)
        self.step += 1
        self.count += 1
        for name, value in logs.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(value)
        if self.step % self.every == 0:
            self._write()

    def _write(self):
        means = {f"train/{name}": value / self.count for name, value in self.sums.items()}
        rate = self.tokens / (time.perf_counter() - self.since)
        self.writer.scalars(self.step, {**means, "train/tokens_per_second": rate})
        self._start()


class HeldOut(keras.callbacks.Callback):
    """Scores on held-out documents every so many steps, printed and in TensorBoard.

    Args:
        dataset: batches whose weights sum to 1 over the whole set.
        writer: of the run's log folder.
        first_step, num_steps: where this run starts and ends.
        every: steps between scores.
    """

    def __init__(self, dataset, writer: LogWriter, first_step: int, num_steps: int, every: int):
        super().__init__()
        self.dataset = dataset
        self.writer = writer
        self.step = first_step
        self.num_steps = num_steps
        self.every = every
        self.scores = {}

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        if self.step % self.every == 0 or self.step == self.num_steps:
            self.scores = self.model.evaluate_sums(self.dataset)
            self.writer.scalars(
                self.step, {f"held_out/{name}": value for name, value in self.scores.items()}
            )
            tqdm.write(
                f"step {self.step}, held out: masked LM loss {self.scores['masked_lm_loss']:.3f}, "
                f"accuracy {self.scores['masked_lm_accuracy']:.1%}; next sentence loss "
                f"{self.scores['next_sentence_loss']:.3f}, accuracy "
                f"{self.scores['next_sentence_accuracy']:.1%}"
            )


class Saves(keras.callbacks.Callback):
    """Saves every so many steps, at the end, and before it stops at SIGTERM or Ctrl-C.

    Args:
        save: writes the state after the current step.
        first_step, num_steps: where this run starts and ends.
        every: steps between saves.

    Attributes:
        stopped_by: the signal that stopped the run, or None.
    """

    def __init__(self, save: Callable[[], None], first_step: int, num_steps: int, every: int):
        super().__init__()
        self.save = save
        self.step = first_step
        self.num_steps = num_steps
        self.every = every
        self.stopped_by = None

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        stops = self.stopped_by is not None
        if stops or self.step % self.every == 0 or self.step == self.num_steps:
            self.save()
        if stops:
            self.model.stop_training = True

    @contextlib.contextmanager
    def listening(self):
        """Within the block SIGTERM and Ctrl-C wait for the step's end; a second one does not."""
        signals = (signal.SIGTERM, signal.SIGINT)
        before = {number: signal.getsignal(number) for number in signals}

        def remember(number, frame):
            self.stopped_by = signal.Signals(number)
            for each in signals:
                signal.signal(each, before[each])

        for number in signals:
            signal.signal(number, remember)
        try:
            yield
        finally:
            for number in signals:
                signal.signal(number, before[number])
