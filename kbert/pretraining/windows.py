"""Which examples stand in which rows: a pure function of (store, seed, window).

An epoch has as many rows as would hold the tokens of the split, which is divided into as many
stretches; a shuffle gives each row one. Some 2,000 rows make a window. Its examples start in its
stretches in turn, once in each, then once more, until its rows are full. So every window has a
known number of rows, and a row of the last epoch is found as fast as the first.
"""

import functools
import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from kbert.corpus.store import Split
from kbert.pretraining.examples.base import Examples, Spans
from kbert.text.packing import fill_rows

# More would fill rows better by a few tenths of a percent, and delay the first batch.
WINDOW = 2048
# Multiples of it, modulo 1, are spread evenly however many there are.
_GOLDEN_RATIO = (5**0.5 - 1) / 2
_STARTS, _EXAMPLES, _SHUFFLE, _DRAWS = range(4)  # streams of random numbers


class Window(NamedTuple):
    """The examples of consecutive rows, sorted by row.

    Attributes:
        spans: of each example, (examples,).
        first: which example is the first of each row, (rows + 1,); the last is their number.
    """

    spans: Spans
    first: np.ndarray


class Part(NamedTuple):
    """Rows [start, stop) of a window of an epoch."""

    epoch: int
    window: int
    start: int
    stop: int


class Windows:
    """The windows of one split.

    Args:
        split: where the text comes from.
        examples: how they are drawn from it.
        sequence_length: tokens of a row.
        most: examples that a row may hold.
        seed: of all that is drawn.
        short_probability: of examples that aim at a random smaller length.
    """

    def __init__(
        self,
        split: Split,
        examples: Examples,
        sequence_length: int,
        most: int,
        seed: int,
        short_probability: float,
    ):
        self.split = split
        self.examples = examples
        self.sequence_length = sequence_length
        self.most = most
        self.seed = seed
        self.short_probability = short_probability
        self._max_tokens = sequence_length - examples.num_special
        self.rows_per_epoch = max(1, len(split.tokens) // self._max_tokens)
        self._num_windows = max(1, round(self.rows_per_epoch / WINDOW))
        self._lock = threading.Lock()
        self._starts = functools.lru_cache(maxsize=2)(self._draw_starts)
        self._windows = functools.lru_cache(maxsize=4)(self._draw_window)

    def parts(self, row: int, count: int) -> Iterator[Part]:
        """The parts of windows that rows [row, row + count) are, counted over all epochs."""
        while count:
            epoch, index = divmod(row, self.rows_per_epoch)
            window = ((index + 1) * self._num_windows - 1) // self.rows_per_epoch
            begin, end = self._bounds(window)
            taken = min(count, end - index)
            yield Part(epoch, window, index - begin, index - begin + taken)
            row, count = row + taken, count - taken

    def spans(self, part: Part) -> tuple[np.ndarray, Spans]:
        """Of each example its row, counted from the part's first, and its spans; sorted by row."""
        # Of two threads that want a new window one draws it and the other waits.
        with self._lock:
            window = self._windows(part.epoch, part.window)
        first = window.first[part.start : part.stop + 1]
        rows = np.repeat(np.arange(part.stop - part.start), np.diff(first))
        return rows, Spans(*(field[first[0] : first[-1]] for field in window.spans))

    def draws(self, part: Part, width: int) -> np.ndarray:
        """Uniform numbers for the objective, (rows, width)."""
        return self._table(part.epoch, part.window, _DRAWS, part.start, part.stop, width)

    def _bounds(self, window):
        """Rows [begin, end) of an epoch; windows have the same size, give or take one."""
        begin, end = (n * self.rows_per_epoch // self._num_windows for n in (window, window + 1))
        return begin, end

    def _draw_window(self, epoch, window) -> Window:
        begin, end = self._bounds(window)
        rows = end - begin
        parts, count, total = [], 0, 0
        while count < rows * self.most and total < rows * self.sequence_length:
            mean = total / count if count else self.sequence_length
            more = 1 + int((rows * self.sequence_length - total) / mean)
            more = min(more, rows * self.most - count)
            parts.append(self._draw_examples(epoch, window, count, count + more))
            count, total = count + more, total + int(self.examples.num_tokens(parts[-1]).sum())
        spans = joined(parts)
        tokens = self.examples.num_tokens(spans)
        placed = fill_rows(tokens, rows, self.sequence_length, self.most)
        # Packing begins with the longest: without a shuffle a batch would hold rows of one kind.
        placed = self._generator(epoch, window, _SHUFFLE).permutation(rows)[placed]
        order = np.argsort(placed, kind="stable")
        first = np.searchsorted(placed[order], np.arange(rows + 1))
        return Window(Spans(*(field[order] for field in spans)), first)

    def _draw_examples(self, epoch, window, start, stop) -> Spans:
        begin, end = self._bounds(window)
        rounds, index = np.divmod(np.arange(start, stop), end - begin)
        stretch, offset = np.divmod(self._starts(epoch)[begin + index], 1)
        offset = (offset + rounds * _GOLDEN_RATIO) % 1
        return self.examples.draw(
            self.split,
            (stretch + offset) / self.rows_per_epoch,
            self._table(epoch, window, _EXAMPLES, start, stop, self.examples.num_draws),
            max_tokens=self._max_tokens,
            short_probability=self.short_probability,
        )

    def _draw_starts(self, epoch):
        """A stretch of the split for each row of an epoch, and where in it: their sum."""
        generator = self._generator(epoch, 0, _STARTS)
        return generator.permutation(self.rows_per_epoch) + generator.random(self.rows_per_epoch)

    def _table(self, epoch, window, stream, start, stop, width):
        """Rows [start, stop) of an endless table of uniform numbers, read where they stand."""
        blocks = -(-width // 4)  # Philox gives numbers in fours
        generator = self._generator(epoch, window, stream, start * blocks)
        return generator.random((stop - start, 4 * blocks))[:, :width]

    def _generator(self, epoch, window, stream, block=0):
        bits = np.random.Philox(key=[self.seed, epoch], counter=[block, 0, window, stream])
        return np.random.Generator(bits)


def joined(parts: Sequence[Spans]) -> Spans:
    """Several `Spans`, one after another."""
    return Spans(*map(np.concatenate, zip(*parts, strict=True)))
