"""Pieces of files: the rows or lines that are answered at once, the same ones every time."""

import pathlib
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import IO, NamedTuple

from tqdm import tqdm

from kbert.errors import DataError
from kbert.inference.lines import arriving_lines
from kbert.tasks.base import Example, Task
from kbert.tasks.readers.bad_rows import BadRows
from kbert.tasks.readers.lines import decode_line, without_end

STANDARD_INPUT = "-"
# Answered at once: enough to sort by length, few enough that answers come soon.
AT_ONCE = 1024


class Piece(NamedTuple):
    """What is answered at once.

    Args:
        errors: by its place among the answers, what stands in the place of one.
    """

    examples: Sequence[Example]
    errors: Mapping[int, dict] = {}

    @property
    def num_answers(self) -> int:
        return len(self.examples) + len(self.errors)


def pieces_of_files(
    task: Task, names: Sequence[str], columns: Collection[str], bad: BadRows, progress: tqdm
) -> Iterator[Piece]:
    """What there is to answer in files, or in standard input ("-", or no name), in order.

    Args:
        columns: the task's options that say which columns a file has; where there are some, every
            file has columns.
        progress: told how many rows there are, where one file says it.

    Raises `DataError` for what does not fit, unless bad rows are counted.
    """
    for name in names or [STANDARD_INPUT]:
        if name == STANDARD_INPUT:
            if sys.stdin.buffer.isatty():
                print("A text on each line; Ctrl-D ends.", file=sys.stderr)
            yield from pieces_of_lines(task, sys.stdin.buffer, "standard input", bad)
        elif not columns and task.holds_lines(pathlib.Path(name)):
            with open(name, "rb") as file:
                yield from pieces_of_lines(task, file, name, bad)
        else:
            examples = task.read_examples(name, labelled=False, bad=bad)
            if len(names) == 1:
                progress.reset(total=len(examples))
            yield from pieces_of_examples(examples)


def pieces_of_examples(examples: Sequence[Example]) -> Iterator[Piece]:
    """A long list of examples, cut."""
    for start in range(0, len(examples), AT_ONCE):
        yield Piece(examples[start : start + AT_ONCE])


def pieces_of_lines(task: Task, stream: IO[bytes], name: str, bad: BadRows) -> Iterator[Piece]:
    """The lines of a stream, as soon as they are there.

    In the place of a bad row stands {"error": what is wrong with it}. Unless bad rows are counted,
    raises `DataError` with `name` and line.
    """
    number = 0
    for lines in arriving_lines(stream, AT_ONCE):
        examples, errors = [], {}
        for place, raw in enumerate(lines):
            number += 1
            try:
                line = without_end(decode_line(raw, name, number))
                examples.append(task.parse(line, f"{name}, line {number}"))
            except DataError as error:
                bad.add(error)
                errors[place] = {"error": str(error)}
        yield Piece(examples, errors)
