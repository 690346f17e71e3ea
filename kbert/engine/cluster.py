"""Which processes are one run, on how many machines: TF_CONFIG says it, on every backend.

    TF_CONFIG='{"cluster": {"worker": ["one:12345", "two:12345"]},
                "task": {"type": "worker", "index": 0}}'

Kubeflow sets it, and so do the scripts in docs/examples. Without it a process is alone.
"""

import contextlib
import functools
import hashlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

from kbert.errors import DataError
from kbert.files import JSON_ERRORS

VARIABLE = "TF_CONFIG"
_EXAMPLE = (
    '{"cluster": {"worker": ["HOST:PORT", "HOST:PORT"]}, "task": {"type": "worker", "index": 0}}'
)
_JOBS = ("chief", "worker")  # In the order in which TensorFlow numbers their tasks.
_PATIENCE = 40.0  # Seconds, so that a mistake is told within a minute.
_PAUSE, _ANSWER = 0.2, 5.0  # Seconds between two attempts, and of one.
_SHOWN = 200  # Characters of a value that is none.


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
        jobs = found.get("cluster", {})
        addresses = tuple(address for job in _JOBS for address in _hosts(jobs.get(job, [])))
    except (*JSON_ERRORS, AttributeError, TypeError) as error:
        shown = " ".join(text.split())[:_SHOWN]
        raise DataError(f"{VARIABLE} must be like {_EXAMPLE}. Received: {shown}") from error
    if others := sorted(set(jobs) - set(_JOBS)):
        raise DataError(
            f"The cluster of {VARIABLE} must have workers, and may have a chief. "
            f"Received: {', '.join(others)}."
        )
    if (chiefs := len(jobs.get("chief", []))) > 1:
        raise DataError(f"The cluster of {VARIABLE} may have one chief. Received: {chiefs}.")
    if twice := sorted({each for each in addresses if addresses.count(each) > 1}):
        raise DataError(
            f"Each worker of {VARIABLE} must have an address of its own. "
            f"Received twice: {', '.join(twice)}."
        )
    if not addresses:
        return Cluster()
    index = _index(found.get("task"), jobs)
    return Cluster(addresses, index) if len(addresses) > 1 else Cluster()


def meet(found: Cluster, patience: float = _PATIENCE) -> None:
    """Wait until this worker has reached all others, each at its port, and they have reached it.

    For before the backend uses the ports itself: it would wait for hours, or end the process.

    Args:
        patience: seconds; a few more pass where a name is looked up for ever.

    Raises `DataError` for a port that another process has, and where a worker does not come.
    """
    end = time.monotonic() + patience
    meeting = _Meeting(found)
    with _listening(found) as listener, meeting:
        while (missing := meeting.missing()) and time.monotonic() < end:
            with contextlib.suppress(TimeoutError):
                meeting.hear(listener.accept()[0])
        if missing:
            named = ", ".join(
                f"worker {each} at {found.addresses[each]} ({meeting.trouble(each, end + _ANSWER)})"
                for each in sorted(missing)
            )
            raise DataError(
                f"Expected {found.count} workers, as {VARIABLE} says. After {patience:.0f} "
                f"seconds there was no answer from {named}."
            )


class _Meeting:
    """Calls all other workers and hears them, each in a thread: one that hangs holds up no other.

    A worker says its number, and a digest of the addresses: of another run, or with another
    TF_CONFIG, it is a stranger like all who knock at the port.
    """

    def __init__(self, found: Cluster):
        self._found = found
        self._others = set(range(found.count)) - {found.index}
        digest = hashlib.sha256("\n".join(found.addresses).encode()).hexdigest()
        self._greeting = f"kbert worker of {digest}: "
        self._tried = {index: threading.Event() for index in self._others}
        self._errors: dict[int, str] = {}  # Of those that are not reached, once they were tried.
        self._reached: set[int] = set()
        self._came: set[int] = set()
        self._over = threading.Event()

    def __enter__(self):
        for index in self._others:
            self._in_thread(self._call, index)
        return self

    def __exit__(self, *error):
        self._over.set()

    def missing(self) -> set[int]:
        """Who has not been reached, or has not come."""
        return self._others - (self._reached & self._came)

    def hear(self, connection: socket.socket) -> None:
        """Find out which worker it is that has come, if it is one."""
        self._in_thread(self._hear, connection)

    def trouble(self, index: int, end: float) -> str:
        """Why a worker is missing, in words; waits until `end` for a first attempt to reach it."""
        if not self._tried[index].wait(max(0.0, end - time.monotonic())):
            return "still looking for it"
        if index in self._reached:
            return "what listens there is no worker of this run, or cannot reach this one"
        return self._errors[index]

    def _in_thread(self, function, argument):
        threading.Thread(target=function, args=(argument,), daemon=True).start()

    def _call(self, index):
        greeting = (self._greeting + str(self._found.index)).encode()
        while index not in self._reached and not self._over.is_set():
            try:
                address = _host_and_port(self._found.addresses[index])
                with socket.create_connection(address, timeout=_ANSWER) as other:
                    other.sendall(greeting)
                self._reached.add(index)
            # No OSError: what cannot be a name of a host.
            except (OSError, ValueError) as error:
                self._errors[index] = getattr(error, "strerror", None) or str(error)
            self._tried[index].set()
            self._over.wait(_PAUSE)

    def _hear(self, connection):
        with connection, contextlib.suppress(OSError, ValueError):
            connection.settimeout(_ANSWER)
            with connection.makefile("rb") as said:
                longest = len(self._greeting) + 20
                before, _, number = said.read(longest).partition(self._greeting.encode())
            if not before:
                self._came.add(int(number))


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


def _hosts(addresses) -> list[str]:
    """The same. Raises TypeError or ValueError for what is no list of HOST:PORT."""
    if not isinstance(addresses, list):
        raise TypeError(addresses)
    for address in addresses:
        _host_and_port(address)
    return addresses


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or {*host} & {*"/ \t\n"} or not port.isascii() or not port.isdecimal():
        raise ValueError(address)
    if not 0 < int(port) < 1 << 16:
        raise ValueError(address)
    return host.strip("[]"), int(port)


@contextlib.contextmanager
def _listening(found: Cluster) -> Iterator[socket.socket]:
    """Within the block the others reach this worker's port."""
    _, port = _host_and_port(found.addresses[found.index])
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    try:  # A port that a process has just left is free.
        listener = socket.create_server(
            ("", port), family=family, backlog=max(128, found.count), dualstack_ipv6=both
        )
    except OSError as error:
        raise DataError(
            f"Worker {found.index} cannot listen at port {port}, which {VARIABLE} gives it: "
            f"{os.strerror(error.errno)}."
        ) from error
    with listener:
        listener.settimeout(_PAUSE)
        yield listener
