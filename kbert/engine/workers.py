"""What the workers of a run do together: the chief writes, all know what it found, all leave.

Everything here is a step that all workers take, in the same order. A process that is alone takes it
without the others.
"""

import contextlib
import functools
import os
import pathlib
import pickle
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

import numpy as np

from kbert.engine.backend import engine
from kbert.engine.cluster import cluster
from kbert.errors import DataError, Stopped, TrainingError
from kbert.files import locked

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


@contextlib.contextmanager
def together(output: str | os.PathLike) -> Iterator[None]:
    """A run, from the moment that its workers have met to that in which all are done.

    Nothing may be computed in a worker before. `output` is the chief's, and no other process's.

    Raises `DataError` where the workers do not meet, and where another process has the output;
    `TrainingError` where one of them goes before the end.
    """
    with contextlib.ExitStack() as stack:
        try:
            engine().devices()
            by_chief(lambda: stack.enter_context(locked(output)))()
            yield
            _wait()
        except Stopped:  # All of them are, at the same step.
            _wait()
            raise
        except engine().WORKER_LOST as error:
            if cluster().count == 1:
                raise
            raise TrainingError(
                f"Another of the {cluster().count} workers has gone; its own last words say why. "
                "Start all of them again: the run goes on from its last save."
            ) from error


def by_chief(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """The function, called by the chief alone; all workers return or raise what it does there.

    For what a run writes, and for what it decides by what is on the chief's disk.
    """

    @functools.wraps(function)
    def call(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        if cluster().count == 1:
            return function(*args, **kwargs)
        result, error = None, None
        if cluster().is_chief:
            try:
                result = function(*args, **kwargs)
            except (DataError, TrainingError, OSError) as raised:
                error = raised
        result, error = _of_chief((result, error))
        if error is not None:
            raise error
        return result

    return call


def only_chief(path: pathlib.Path) -> pathlib.Path | None:
    """Where the chief writes; None in the other workers."""
    return path if cluster().is_chief else None


def any_worker(here: bool) -> bool:
    """Whether it is so in one of the workers."""
    return here if cluster().count == 1 else bool(_sum(np.array([here]))[0])


def array_of_chief(array: np.ndarray | None, like) -> np.ndarray:
    """The chief's array, bit for bit.

    Args:
        array: None in the other workers.
        like: a variable of the same shape and type.
    """
    if cluster().count == 1:
        return array
    shape, dtype = tuple(like.shape), np.dtype(like.dtype)
    data = np.zeros(shape, dtype) if array is None else np.asarray(array, dtype)
    return np.frombuffer(_bytes_of_chief(data.tobytes(), data.nbytes), dtype).reshape(shape)


def _of_chief(value):
    data = pickle.dumps(value) if cluster().is_chief else b""
    size = int(_sum(np.array([len(data)]))[0])
    return pickle.loads(_bytes_of_chief(data, size))


def _bytes_of_chief(data: bytes, size: int) -> bytes:
    """The chief's bytes, as a sum of numbers to which the others add 0."""
    numbers = np.zeros(-(-size // 4), "int32")
    if cluster().is_chief:
        numbers.view("uint8")[:size] = np.frombuffer(data, "uint8")
    return _sum(numbers).tobytes()[:size]


def _wait() -> None:
    """Until all workers are here."""
    any_worker(False)


def _sum(numbers: np.ndarray) -> np.ndarray:
    return engine().sum_over_workers(numbers.astype("int32"))
