"""A process of its own that runs cells. What it needs is imported when it starts, not with this
file, which a new process reads first: TensorFlow is told something before."""

import contextlib
import os
import pathlib
from collections.abc import Callable

from kbert.tensorflow_start import start_backend


def worker(output: pathlib.Path, threads: int) -> Callable:
    """What runs a `Chain` with so many threads, and returns it."""
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        os.environ[name] = str(threads)
    start_backend()
    from kbert.laboratory.cells import run_chain

    def run(chain):
        with open(os.devnull, "w") as nothing, contextlib.redirect_stderr(nothing):
            run_chain(chain, output)
        return chain

    return run
