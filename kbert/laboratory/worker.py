"""A process that runs cells. A new process imports this file before it calls `worker`, so that
nothing here imports TensorFlow: it is told first how many threads it has, and to be quiet."""

import contextlib
import os
import pathlib
from collections.abc import Callable

from kbert.tensorflow_start import set_threads, start_backend


def worker(output: pathlib.Path, threads: int) -> Callable:
    """What runs a `Chain` with so many threads, and returns it."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    set_threads(threads)
    start_backend()
    from kbert.laboratory.running import run_chain

    def run(chain):
        with open(os.devnull, "w") as nothing, contextlib.redirect_stderr(nothing):
            run_chain(chain, output)
        return chain

    return run
