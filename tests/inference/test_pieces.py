"""Pieces of files: lines as soon as they arrive, the same pieces every time."""

import io
import os

import pytest

from kbert.errors import DataError
from kbert.inference import pieces
from kbert.inference.lines import arriving_lines
from kbert.inference.pieces import pieces_of_examples, pieces_of_lines
from kbert.tasks.readers.bad_rows import BadRows


class NumberTask:
    """Takes lines of numbers."""

    def parse(self, instance, where):
        try:
            return [int(word) for word in instance.split()]
        except ValueError as error:
            raise DataError(f"{where}: expected numbers.") from error


def lines_of(content, skip=False):
    return list(pieces_of_lines(NumberTask(), io.BytesIO(content), "input", BadRows(skip)))


def test_a_long_list_is_cut(monkeypatch):
    monkeypatch.setattr(pieces, "AT_ONCE", 2)
    assert [piece.examples for piece in pieces_of_examples("abcde")] == ["ab", "cd", "e"]
    assert list(pieces_of_examples([])) == []


def test_lines_of_a_stream():
    assert sum(lines_of(b"\xef\xbb\xbf1 2\r\n3\n4 5 6 7"), ())[::2] == (
        [[1, 2], [3]],
        [[4, 5, 6, 7]],
    )
    assert lines_of(b"") == []


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"1\nx\n2\n", "input, line 2: expected numbers"), (b"1\n\xff\n2", "line 2: expected UTF-8")],
)
def test_lines_that_do_not_fit_are_named(content, expected):
    with pytest.raises(DataError, match=expected):
        lines_of(content)
    piece, *_ = lines_of(content, skip=True)
    assert piece.examples[0] == [1] and expected in piece.errors[1]["error"]


def test_a_pipe_is_answered_line_by_line():
    source, sink = os.pipe()
    with open(source, "rb") as stream, open(sink, "wb", buffering=0) as writer:
        lines = arriving_lines(stream, most=10)
        for line in (b"one\n", b"two\n"):
            writer.write(line)
            assert next(lines) == [line[:-1]]
        writer.write(b"half")
        writer.close()
        assert list(lines) == [[b"half"]]


def test_a_file_comes_in_the_same_pieces_every_time(tmp_path):
    lines = [f"{i} {'x' * (i % 300)}".encode() for i in range(5000)]
    (tmp_path / "lines.txt").write_bytes(b"\n".join(lines))
    found = []
    for _ in range(3):
        with open(tmp_path / "lines.txt", "rb") as file:
            found.append(list(arriving_lines(file, most=64)))
    assert found[0] == found[1] == found[2]
    assert [line for piece in found[0] for line in piece] == lines
    assert max(map(len, found[0])) <= 64


def test_the_first_piece_of_a_file_is_small(tmp_path):
    """So that the first answers come while most of the file is not read yet."""
    path = tmp_path / "texts.txt"
    path.write_bytes(b"a line of text\n" * 20_000)
    with open(path, "rb") as file:
        sizes = [len(lines) for lines in arriving_lines(file, 1024)]
    assert sizes[0] < 100 and max(sizes) == 1024
    assert sum(sizes) == 20_000
