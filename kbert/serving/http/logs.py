"""The server's log: a line a request, as text or JSON, which never holds up an answer.

Lines go through a bounded queue to a thread that writes them. Where standard error is full, closed
or stuck, lines are dropped and the answers go on.
"""

import contextlib
import json
import logging
import logging.handlers
import os
import queue
import sys
from collections.abc import Iterator

_MOST_LINES = 10_000


@contextlib.contextmanager
def logging_to_stderr(form: str) -> Iterator[None]:
    """Within the block what `kbert.serving` logs is written; `form` is text, json or none."""
    lines: queue.Queue = queue.Queue(_MOST_LINES)
    logger = logging.getLogger("kbert.serving")
    handler, writer = _Dropping(lines), _Writer()
    writer.setFormatter(_Json() if form == "json" else _Text())
    listener = logging.handlers.QueueListener(lines, writer)
    before = logger.level, logger.propagate
    logger.setLevel(logging.ERROR if form == "none" else logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    # A daemon, unlike the listener's own way to stop it, does not wait for a stuck reader.
    listener.start()
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]
        with contextlib.suppress(queue.Full):
            lines.put_nowait(listener._sentinel)
        listener._thread.join(timeout=1)


class _Dropping(logging.handlers.QueueHandler):
    def enqueue(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(queue.Full):
            self.queue.put_nowait(record)

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record


class _Writer(logging.Handler):
    """Writes to standard error past Python's buffer, and without the handler's lock: a process that
    ends would wait for both where the reader is stuck. One thread writes all lines."""

    def handle(self, record: logging.LogRecord) -> bool:
        line = f"{self.format(record)}\n".encode(errors="backslashreplace")
        with contextlib.suppress(OSError):  # A line that cannot be written is lost.
            os.write(sys.stderr.fileno(), line)
        return True


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        now = self.formatTime(record, "%Y-%m-%dT%H:%M:%S")
        fields = getattr(record, "fields", None)
        if fields is None:
            return f"{now} {super().format(record)}"
        return f"{now} {' '.join(map(_printable, fields.values()))} ms"


def _printable(value: object) -> str:
    """As text on one line: a path may hold anything."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(value))


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", None) or {"message": super().format(record)}
        values = {"time": self.formatTime(record), "level": record.levelname, **fields}
        return json.dumps(values)
