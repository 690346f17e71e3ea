"""Files that are replaced whole or not at all."""

import os

import pytest

from kbert.errors import DataError
from kbert.files import check_writable, replacing, write_json


def test_the_old_file_stays_when_the_block_fails(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("old")
    with pytest.raises(RuntimeError), replacing(file) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_link_keeps_leading_to_its_file(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "file")
    for value in (1, 2):
        write_json(tmp_path / "link", value)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "file").read_text() == f"{value}\n"


def test_a_pipe_is_written_to(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_json(tmp_path / "pipe", 1)
    assert os.read(reader, 10) == b"1\n"
    os.close(reader)
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (".", "is a folder; expected the name of a file"),
        ("none/a.json", "There is no folder .*none to write a.json into"),
    ],
)
def test_what_cannot_be_written_is_known_before(tmp_path, path, message):
    with pytest.raises(DataError, match=message):
        check_writable(tmp_path / path)
    check_writable(tmp_path / "a.json")
    assert list(tmp_path.iterdir()) == []
