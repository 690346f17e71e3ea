"""Divides text into parts that are worked on alone: where they begin depends on the files only."""

import copy
from collections.abc import Iterator
from typing import NamedTuple

from kbert.corpus.documents import TextReader
from kbert.corpus.problems import Problems

# Files are read together until they have so many bytes on the disk. A longer one is read by several
# workers, each of which works on its share of the parts: reading is fast beside the work.
GROUP_BYTES = 64 << 20
_MAX_SHARES = 8


class Part(NamedTuple):
    """Some documents of a text, one after another; the last part of a text may hold none.

    Attributes:
        number: of the part, from the one on that the first has.
        info: where the next part begins ("next": file and document), whether there is none
            ("is_last"), how far the files are read ("bytes_read"), what was wrong ("problems").
    """

    number: int
    texts: list[str]
    info: dict


def parts(
    reader: TextReader, characters: int, *, number: int = 0, start=(0, 0), end: int | None = None
) -> Iterator[Part]:
    """The text as parts of at least so many characters.

    Args:
        characters: with which a part ends; only the last has fewer.
        number: of the first part.
        start: file and document that it begins with.
        end: file that is not read any more; None reads all.
    """
    texts, held, position = [], 0, start
    for document in reader.documents(*start, end):
        texts.append(document.text)
        held += len(document.text)
        position = (document.file, document.number + 1)
        if held >= characters:
            yield Part(number, texts, _info(reader, position, is_last=False))
            number, texts, held = number + 1, [], 0
    yield Part(number, texts, _info(reader, position, is_last=True))


def parts_of_groups(reader: TextReader, characters: int) -> Iterator[Part]:
    """The parts with text that workers have who each read their own share, all in one process.

    At the end the reader knows the problems of all of them.
    """
    problems = Problems()
    for files in groups(reader.sizes):
        for part in parts(reader, characters, start=(files.start, 0), end=files.stop):
            problems.merge(part.info["problems"])
            if part.texts:
                yield part
    reader.problems = problems


def _info(reader: TextReader, position: tuple[int, int], is_last: bool) -> dict:
    problems, reader.problems = reader.problems, Problems()
    return {
        "next": position,
        "is_last": is_last,
        "bytes_read": reader.bytes_read,
        "problems": problems.as_dict(),
    }


class Share(NamedTuple):
    """What one worker does: of a group of files the parts `number`, `number + count`, ..."""

    group: int
    first_file: int
    end_file: int
    number: int
    count: int

    def parts(self, reader: TextReader, characters: int) -> Iterator[Part]:
        """Its parts, numbered in their group. The reader, `seen_from` here, stays as it is."""
        reader = copy.copy(reader)
        reader.problems = Problems()
        start = (self.first_file, 0)
        for part in parts(reader, characters, start=start, end=self.end_file):
            if part.number % self.count == self.number:
                yield part


def groups(sizes: list[int]) -> Iterator[range]:
    """Numbers of files that are read together, of files of so many bytes."""
    first, held = 0, 0
    for file, size in enumerate(sizes):
        held += size
        if held >= GROUP_BYTES or file == len(sizes) - 1:
            yield range(first, file + 1)
            first, held = file + 1, 0


def shares(sizes: list[int]) -> list[Share]:
    """What workers do, in any order, of files of so many bytes."""
    found = []
    for group, files in enumerate(groups(sizes)):
        num_bytes = sum(sizes[file] for file in files)
        count = min(max(1, num_bytes // GROUP_BYTES), _MAX_SHARES)
        found += [Share(group, files.start, files.stop, number, count) for number in range(count)]
    return found
