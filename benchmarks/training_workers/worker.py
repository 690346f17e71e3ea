"""What the workers of all frameworks share: the arguments, one batch, answering. NumPy only."""

import ctypes
import dataclasses
import json
import pathlib
import re
import resource
import sys
import time
from collections.abc import Callable

import numpy as np

VOCABULARY = 30522
SIZES = {  # layers, width, heads
    "tiny": (2, 128, 2),
    "mini": (4, 256, 4),
    "base": (12, 768, 12),
    "large": (24, 1024, 16),
}
WARM_UP = 2


@dataclasses.dataclass
class Cell:
    """What is trained: `MODEL ROWS LENGTH PREDICTIONS PRECISION` on the command line."""

    model: str
    rows: int
    length: int
    predictions: int
    precision: str

    @property
    def layers(self):
        return SIZES[self.model][0]

    @property
    def width(self):
        return SIZES[self.model][1]

    @property
    def heads(self):
        return SIZES[self.model][2]

    @property
    def tokens(self):
        return self.rows * self.length

    def flop(self) -> float:
        """Of one step's matrix products, forward and backward: 3 times those of the forward pass.

        Forward, a token: 2 x the weights of the blocks' kernels, 4 x length x width in a block's
        attention; a masked position: 2 x those of the output's two products.
        """
        blocks = self.layers * 2 * (12 * self.width**2 + 2 * self.length * self.width)
        output = 2 * (self.width**2 + self.width * VOCABULARY)
        return 3 * (self.tokens * blocks + self.rows * self.predictions * output)

    @classmethod
    def of(cls, arguments):
        model, rows, length, predictions, precision = arguments[:5]
        return cls(model, int(rows), int(length), int(predictions), precision)

    def arguments(self):
        return list(dataclasses.astuple(self))

    def batch(self) -> dict:
        """Full rows of random pieces, random masked positions and next sentences."""
        rng = np.random.default_rng(0)
        shape = (self.rows, self.length)
        places = np.argsort(rng.random(shape), axis=1)[:, : self.predictions]
        arrays = {
            "token_ids": rng.integers(1000, VOCABULARY, shape),
            "segment_ids": np.arange(self.length) >= rng.integers(1, self.length, (self.rows, 1)),
            "padding_mask": np.ones(shape),
            "mask_positions": np.sort(places, axis=1),
            "masked_lm": rng.integers(1000, VOCABULARY, places.shape),
            "next_sentence": rng.integers(0, 2, (self.rows, 1)),
        }
        return {name: np.ascontiguousarray(array, "int32") for name, array in arrays.items()}


def serve(
    step: Callable[[], object], device_memory_mb: Callable[[], int] = lambda: 0, **about
) -> None:
    """Warm up, then answer each line "N" with the seconds of N steps; at the end, with memory.

    The line "memory" is answered with the most megabytes that the process had during one more step.
    `step` returns when its work is done.
    """
    began = time.perf_counter()
    for _ in range(WARM_UP):
        step()
    _answer({**about, "warm_up_seconds": round(time.perf_counter() - began, 1)})
    for line in sys.stdin:
        if line == "memory\n":
            _answer(peak_megabytes(step))
            continue
        seconds = []
        for _ in range(int(line)):
            start = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - start)
        _answer(seconds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    _answer({"peak_memory_mb": round(peak / 1024), "device_memory_mb": device_memory_mb()})


def peak_megabytes(step: Callable[[], object]) -> int:
    """Of a step, without what compilation took and gave back. Linux."""
    ctypes.CDLL(None).malloc_trim(0)
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # sets VmHWM to what is resident now
    step()
    status = pathlib.Path("/proc/self/status").read_text(encoding="utf-8")
    return round(int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024)


def _answer(value) -> None:
    print("worker: " + json.dumps(value), flush=True)
