"""Answers of a fine-tuned model to the lines of a stream and to long lists of examples."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import IO

from kbert.errors import DataError
from kbert.tasks.base import Example, Task

# Answered at once: enough to sort by length, few enough that answers come soon.
AT_ONCE = 1024

Answerer = Callable[[Sequence[Example]], list[dict]]


def answer_in_pieces(answer: Answerer, examples: Sequence[Example]) -> Iterator[dict]:
    """The answer to each example, in order; the first ones long before the last.

    Args:
        answer: gives the answers to a list of examples: `kbert.inference.answering.answer_examples`
            with all else filled in, or that of a SavedModel.
    """
    for start in range(0, len(examples), AT_ONCE):
        yield from answer(examples[start : start + AT_ONCE])


def answer_lines(task: Task, answer: Answerer, stream: IO[bytes], name: str) -> Iterator[dict]:
    """The answer to each line of a stream, as soon as the line is there.

    Raises DataError with `name` and line for one that is no example.
    """
    number = 1
    for lines in waiting_lines(stream, AT_ONCE):
        examples = []
        for raw in lines:
            where = f"{name}, line {number}"
            examples.append(task.parse(decode_line(raw, where), where))
            number += 1
        yield from answer(examples)


def decode_line(raw: bytes, where: str) -> str:
    try:
        return raw.decode("utf-8-sig").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{where}: expected UTF-8. Received the byte 0x{raw[error.start]:02x}."
        ) from error


def waiting_lines(stream: IO[bytes], limit: int) -> Iterator[list[bytes]]:
    """The lines that have arrived: at least one each time, at most `limit`.

    A pipe may pause between lines: whoever writes one line and waits gets its answer, while a file
    comes in large pieces. So a thread reads ahead.
    """
    lines: queue.Queue = queue.Queue(maxsize=limit)

    def read():
        try:
            for line in stream:
                lines.put(line)
            lines.put(None)
        except (OSError, ValueError) as error:
            lines.put(error)

    threading.Thread(target=read, daemon=True).start()
    while True:
        waiting = [lines.get()]
        while len(waiting) < limit and not isinstance(waiting[-1], (Exception, type(None))):
            try:
                waiting.append(lines.get_nowait())
            except queue.Empty:
                break
        end = waiting.pop() if not isinstance(waiting[-1], bytes) else b""
        if waiting:
            yield waiting
        if end is None:
            return
        if isinstance(end, Exception):
            raise end
