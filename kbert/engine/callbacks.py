"""What happens between the steps of a run, pre-training or fine-tuning: all read one counter.

counter -> NaN stop -> progress bar -> curves -> scores -> saves, in this order after every step
"""

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping

import keras
from tqdm import tqdm

from kbert.engine.logs import LogWriter
from kbert.engine.workers import any_worker
from kbert.errors import Stopped, TrainingError

# Gradients that overflow with less do not overflow by the scale.
_LEAST_LOSS_SCALE = 2.0**-13

# In tqdm's words; the postfix comes with a comma.
_LINE = "{desc} {percentage:.0f}% {n_fmt}/{total_fmt} {elapsed}<{remaining}{postfix}"


class Counter(keras.callbacks.Callback):
    """How many steps a run has done; stands before the callbacks that read it.

    Args:
        first_step, end_step: the steps that `fit` begins after and ends with.

    Attributes:
        step: how many are done.
    """

    def __init__(self, first_step: int, end_step: int):
        super().__init__()
        self.first_step = self.step = first_step
        self.end_step = end_step

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1

    def due(self, *every: int) -> bool:
        """Whether what happens every so many steps, and at the end, happens now."""
        return self.step == self.end_step or any(self.step % steps == 0 for steps in every)


class StopAtNaN(keras.callbacks.Callback):
    """Raises `TrainingError` when the loss or a gradient is NaN or infinite.

    Under float16 a gradient that overflows is ordinary: the step halves the loss scale, and the run
    stops when that has become small without an end to it. The weights are still those of the step
    before: such a gradient is never applied.

    Args:
        counter: of the run.
        last_save: -> where the last good weights are, for the message.
    """

    def __init__(self, counter: Counter, last_save: Callable[[], str]):
        super().__init__()
        self.counter = counter
        self.last_save = last_save

    def on_train_batch_end(self, batch, logs=None):
        names = ["loss", "gradient_norm"]
        if self.model.scales_loss and logs["loss_scale"] >= _LEAST_LOSS_SCALE:
            names.remove("gradient_norm")
        for name in names:
            if not math.isfinite(logs[name]):
                raise TrainingError(
                    f"The {name.replace('_', ' ')} of step {self.counter.step} is {logs[name]}. "
                    f"The last good checkpoint is {self.last_save()}. "
                    "A lower learning rate or a longer warm-up may help."
                )


class Progress(keras.callbacks.Callback):
    """A bar in one line of a terminal: loss, throughput, time left, and what else has room.

    Where standard error is no terminal there is none.

    Args:
        counter: of the run.
        name: what runs.
        num_steps: where the whole run ends, of which `fit` may be a part.
        batch_size: rows of a batch.
        tokens_of: the tokens of the batch of a step; padding is none.
        hidden: show no bar on a terminal either.
    """

    def __init__(
        self,
        counter: Counter,
        name: str,
        num_steps: int,
        batch_size: int,
        tokens_of: Callable[[int], int],
        hidden: bool = False,
    ):
        super().__init__()
        self.counter = counter
        self.bar = tqdm(
            initial=counter.first_step,
            total=num_steps,
            desc=name,
            mininterval=1,
            dynamic_ncols=True,
            bar_format=_LINE,
            disable=True if hidden else None,  # None: where there is no terminal.
        )
        self.batch_size = batch_size
        self.tokens_of = tokens_of
        self.tokens = 0

    def on_train_batch_end(self, batch, logs=None):
        if self.bar.disable:
            return
        self.tokens += self.tokens_of(self.counter.step - 1)
        rate = self.bar.format_dict["rate"] or 0
        loss, *others = described(logs)
        tokens = self.tokens / (self.counter.step - self.counter.first_step)
        speed = f"{rate * self.batch_size:.0f} rows/s", f"{rate * tokens:.0f} tokens/s"
        self.bar.set_postfix_str(self._fitting([loss, speed[0], *others, speed[1]]), refresh=False)
        self.bar.update()

    def _fitting(self, parts: list[str]) -> str:
        """As many of the parts as the line has room for."""
        self.bar.set_postfix_str("", refresh=False)
        room = (self.bar.format_dict["ncols"] or math.inf) - len(str(self.bar))
        while len(parts) > 1 and len(", ".join(parts)) > room:
            parts = parts[:-1]
        return ", ".join(parts)

    def on_train_end(self, logs=None):
        self.bar.close()


def described(scores: Mapping[str, float]) -> list[str]:
    """Losses, the sum first, each with its accuracy where there is one: "masked lm 2.500 25.0%"."""
    found = []
    for name in sorted(scores, key=lambda name: name != "loss"):
        if name == "loss" or name.endswith("_loss"):
            what = name.removesuffix("_loss").replace("_", " ")
            accuracy = scores.get(name.removesuffix("loss") + "accuracy")
            share = "" if accuracy is None else f" {accuracy:.1%}"
            found.append(f"{what} {scores[name]:.3f}{share}")
    return found


class Curves(keras.callbacks.Callback):
    """Training curves in TensorBoard, each point the mean of the steps since the last one.

    Args:
        writer: of the run's log folder.
        counter: of the run.
        every: steps between points; there is one at the end, too.
        tokens_of: the tokens of the batch of a step; padding is none.
    """

    def __init__(
        self, writer: LogWriter, counter: Counter, every: int, tokens_of: Callable[[int], int]
    ):
        super().__init__()
        self.writer = writer
        self.counter = counter
        self.every = every
        self.tokens_of = tokens_of
        self._start()

    def _start(self):
        self.sums, self.count, self.tokens, self.since = {}, 0, 0, time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self.tokens += self.tokens_of(self.counter.step - 1)
        self.count += 1
        for name, value in logs.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(value)
        if self.counter.due(self.every):
            self._write()

    def _write(self):
        means = {f"train/{name}": value / self.count for name, value in self.sums.items()}
        rate = self.tokens / (time.perf_counter() - self.since)
        self.writer.scalars(self.counter.step, {**means, "train/tokens_per_second": rate})
        self._start()


class HeldOut(keras.callbacks.Callback):
    """Scores on held-out text every so many steps and at the end, printed and in TensorBoard.

    Args:
        dataset: batches whose weights sum to 1 over the whole set.
        writer: of the run's log folder.
        counter: of the run.
        every: steps between scores.
        scores_of: makes them of the sums over the set.
        on_scores: is given the step and the scores; what it raises ends the run.

    Attributes:
        scores: the last ones.
    """

    def __init__(
        self,
        dataset,
        writer: LogWriter,
        counter: Counter,
        every: int,
        scores_of: Callable[[Mapping[str, float]], Mapping[str, float]] = dict,
        on_scores: Callable[[int, Mapping[str, float]], None] | None = None,
    ):
        super().__init__()
        self.dataset = dataset
        self.scores_of = scores_of
        self.on_scores = on_scores
        self.writer = writer
        self.counter = counter
        self.every = every
        self.scores = {}

    def on_train_batch_end(self, batch, logs=None):
        if not self.counter.due(self.every):
            return
        self.scores = self.scores_of(self.model.evaluate_sums(self.dataset))
        step = self.counter.step
        points = {f"held_out/{name}": value for name, value in self.scores.items()}
        self.writer.scalars(step, points)
        tqdm.write(f"step {step}, held out: {', '.join(described(self.scores))}")
        if self.on_scores is not None:
            self.on_scores(step, self.scores)


class Saves(keras.callbacks.Callback):
    """Saves every so many steps, at the end, and before it stops at SIGTERM or Ctrl-C.

    All workers stop after the step in which one of them hears a signal.

    Args:
        save: writes the state after the current step.
        counter: of the run.
        every: steps between saves; of several, after as many as any of them.

    Attributes:
        stopped_by: the signal that stopped the run, or None.
    """

    def __init__(self, save: Callable[[], None], counter: Counter, *every: int):
        super().__init__()
        self.save = save
        self.counter = counter
        self.every = every
        self.stopped_by: signal.Signals | None = None

    def on_train_batch_end(self, batch, logs=None):
        stops = any_worker(self.stopped_by is not None)
        if stops and self.stopped_by is None:
            self.stopped_by = signal.SIGTERM
        if stops or self.counter.due(*self.every):
            self.save()
        if stops:
            self.model.stop_training = True

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Within the block SIGTERM and Ctrl-C wait for the step's end; a second one does not.

        Raises `Stopped` at the block's end if one of them ended the run. Python hears signals in
        the main thread only: in others nothing waits.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        signals = (signal.SIGTERM, signal.SIGINT)
        before = {number: signal.getsignal(number) for number in signals}

        def restore():
            for number in signals:
                signal.signal(number, before[number])

        def remember(number, frame):
            self.stopped_by = signal.Signals(number)
            restore()

        for number in signals:
            signal.signal(number, remember)
        try:
            yield
        finally:
            restore()
        if self.stopped_by is not None:
            raise Stopped(self.stopped_by, self.counter.step)
