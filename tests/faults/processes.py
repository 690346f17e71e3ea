"""kbert's commands as processes of their own, forked from one that has imported all they need.

So a command takes a second where its imports alone take several, and more of them can be killed.
"""

import contextlib
import multiprocessing
import os
import pathlib
import signal
import sys
import tempfile
from collections.abc import Callable
from typing import NamedTuple

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.faults.processes", "tests.faults.imports"])


class Ended(NamedTuple):
    """How a command ended: its exit code, below 0 for a signal's number, and standard error."""

    code: int
    error: str

    @property
    def is_a_sentence(self) -> bool:
        """Whether it says in one sentence why it failed, instead of a traceback."""
        lines = self.error.splitlines()
        return bool(lines) and "Traceback" not in self.error and lines[-1].startswith("kbert ")


class Started:
    """A command that runs.

    Args:
        line: arguments of kbert.
        before: called in its process first; it can be imported.
    """

    def __init__(self, line: list[str], before: Callable[[], None] | None = None):
        self._folder = tempfile.TemporaryDirectory()
        self._error = pathlib.Path(self._folder.name, "error")
        self._process = _context.Process(target=_run, args=(line, str(self._error), before))
        self._process.start()

    def ended(self, seconds: float | None = None) -> Ended | None:
        """Wait for the end; None where it has not come in so many seconds."""
        self._process.join(seconds)
        if self._process.exitcode is None:
            return None
        error = self._error.read_text(errors="replace") if self._error.exists() else ""
        self._folder.cleanup()
        return Ended(self._process.exitcode, error)

    def send(self, number: int) -> None:
        """Send a signal, unless the process has just ended."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, number)


def run(line: list[str], before: Callable[[], None] | None = None) -> Ended:
    """A command from its beginning to its end."""
    return Started(line, before).ended()


def _run(line, error, before):
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    nothing, written = os.open(os.devnull, os.O_RDWR), os.open(error, os.O_CREAT | os.O_WRONLY)
    for descriptor, target in ((nothing, 0), (nothing, 1), (written, 2)):
        os.dup2(descriptor, target)
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, "r" if number == 0 else "w", closefd=False, buffering=1) for number in range(3)
    )
    if before is not None:
        before()
    from apps.cli import main

    code = main(line)
    sys.stderr.flush()
    os._exit(code)
