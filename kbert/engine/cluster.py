"""Which processes are one run, on how many machines: TF_CONFIG says it, on every backend.

    TF_CONFIG='{"cluster": {"worker": ["one:12345", "two:12345"]},
                "task": {"type": "worker", "index": 0}}'

Kubeflow sets it, and so do the scripts in docs/examples. Without it a process is alone.
"""

import contextlib
import functools
import json
import os
import socket
import time
from collections.abc import Iterator
from typing import NamedTuple

from kbert.errors import DataError

VARIABLE = "TF_CONFIG"
_EXAMPLE = (
    '{"cluster": {"worker": ["HOST:PORT", "HOST:PORT"]}, "task": {"type": "worker", "index": 0}}'
)
_JOBS = ("chief", "worker")  # In the order in which TensorFlow numbers their tasks.
_PATIENCE = 50.0  # Seconds, so that a mistake is told within a minute.
_PAUSE, _ANSWER = 0.2, 5.0  # Seconds between two attempts, and of one.
_GREETING = b"kbert worker "


class Cluster(NamedTuple):
    """The workers of a run; each trains on its share of every batch.

    Attributes:
        addresses: HOST:PORT of each; the first is the chief, which alone writes.
        index: of this process.
    """

    addresses: tuple[str, ...] = ("",)
    index: int = 0

    @property
    def count(self) -> int:
        """How many workers there are."""
        return len(self.addresses)

    @property
    def is_chief(self) -> bool:
        """Whether this process writes what the run makes."""
        return self.index == 0

    def share(self, rows: int) -> slice:
        """Which rows of a batch are this worker's; `rows` is a multiple of `count`."""
        size = rows // self.count
        return slice(self.index * size, (self.index + 1) * size)


@functools.cache
def cluster() -> Cluster:
    """The cluster that TF_CONFIG describes, for the life of this process.

    Raises `DataError` for a TF_CONFIG that describes none, or another kind.
    """
    return parse(os.environ.get(VARIABLE, ""))


def parse(text: str) -> Cluster:
    """`cluster()` of a value of TF_CONFIG; an empty one, or one without workers, is one process."""
    try:
        found = json.loads(text or "{}")
        jobs = found.get("cluster") or {}
        addresses = tuple(address for job in _JOBS for address in jobs.get(job, ()))
        for address in addresses:
            _host_and_port(address)
    except (ValueError, AttributeError, TypeError) as error:
        raise DataError(f"{VARIABLE} must be like {_EXAMPLE}. Received: {text}") from error
    if others := sorted(set(jobs) - set(_JOBS)):
        raise DataError(
            f"The cluster of {VARIABLE} must have workers, and may have a chief. "
            f"Received: {', '.join(others)}."
        )
    return Cluster(addresses, _index(found.get("task"), jobs)) if len(addresses) > 1 else Cluster()


def meet(found: Cluster, patience: float = _PATIENCE) -> None:
    """Wait until this worker has reached all others, each at its port, and they have reached it.

    For before the backend uses the ports itself: it would wait for hours, or end the process.

    Args:
        patience: seconds.

    Raises `DataError` for a port that another process has, and where a worker does not come.
    """
    end = time.monotonic() + patience
    to_reach = set(range(found.count)) - {found.index}
    to_come = set(to_reach)
    with _listening(found) as listener:
        while to_reach or to_come:
            to_reach = {i for i in to_reach if not _reaches(found.addresses[i], found.index)}
            to_come.difference_update(_come(listener))
            if (missing := to_reach | to_come) and time.monotonic() > end:
                named = ", ".join(f"worker {i} at {found.addresses[i]}" for i in sorted(missing))
                raise DataError(
                    f"Expected {found.count} workers, as {VARIABLE} says. After {patience:.0f} "
                    f"seconds there was no answer from {named}."
                )


def _index(task, jobs: dict) -> int:
    """The number of a task among all workers."""
    counts = {job: len(jobs.get(job, ())) for job in _JOBS}
    kind, index = (task.get("type"), task.get("index")) if isinstance(task, dict) else (None, None)
    if kind not in _JOBS or type(index) is not int or not 0 <= index < counts[kind]:
        known = " and ".join(f"{count} of type {job}" for job, count in counts.items() if count)
        raise DataError(
            f"The task of {VARIABLE} must be one of its cluster's: {known}, counted from 0. "
            f"Received: {json.dumps(task)}."
        )
    return index + (counts["chief"] if kind == "worker" else 0)


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not 0 < int(port) < 1 << 16:
        raise ValueError(address)
    return host.strip("[]"), int(port)


@contextlib.contextmanager
def _listening(found: Cluster) -> Iterator[socket.socket]:
    """Within the block the others reach this worker's port."""
    _, port = _host_and_port(found.addresses[found.index])
    with socket.socket() as listener:
        # A port that a process has just left is free.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("", port))
            listener.listen(max(128, found.count))
        except OSError as error:
            raise DataError(
                f"Worker {found.index} cannot listen at port {port}, which {VARIABLE} gives it: "
                f"{error.strerror}."
            ) from error
        listener.settimeout(_PAUSE)
        yield listener


def _reaches(address: str, index: int) -> bool:
    """Whether there is a worker, which is told which one this is."""
    try:
        with socket.create_connection(_host_and_port(address), timeout=_ANSWER) as other:
            other.sendall(_GREETING + str(index).encode())
    except OSError:
        return False
    return True


def _come(listener: socket.socket) -> Iterator[int]:
    """The numbers of workers that have come since; others who knock are no workers."""
    with contextlib.suppress(TimeoutError):
        while True:
            other, _ = listener.accept()
            with other, contextlib.suppress(OSError, ValueError):
                other.settimeout(_ANSWER)
                with other.makefile("rb") as said:
                    greeting, _, number = said.read(64).partition(_GREETING)
                if not greeting:
                    yield int(number)
