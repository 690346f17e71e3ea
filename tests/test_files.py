"""Files and folders that are replaced whole or not at all, JSON, locks."""

import errno
import os
import subprocess
import sys

import pytest

from kbert.errors import DataError
from kbert.files import (
    check_folder_writable,
    check_writable,
    current,
    is_there,
    locked,
    read_object,
    remove_folder,
    replacing,
    replacing_folder,
    replacing_together,
    write_json,
)
from tests.conftest import ROOT


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


def test_a_folder_is_replaced_whole(tmp_path):
    target = tmp_path / "model"
    for content in ("first", "second"):
        with replacing_folder(target) as folder:
            (folder / "part").mkdir()
            (folder / "part" / content).write_text(content)
            assert not (target / "part" / content).exists()
        assert os.listdir(target / "part") == [content]
    with pytest.raises(RuntimeError), replacing_folder(target) as folder:
        (folder / "third").write_text("third")
        raise RuntimeError
    assert os.listdir(target) == ["part"]
    assert os.listdir(tmp_path) == ["model"]


def test_a_folder_is_replaced_where_names_cannot_be_exchanged(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "platform", "other")
    test_a_folder_is_replaced_whole(tmp_path)


@pytest.mark.parametrize("content", [b"[1]", b"3", b"{", b"\xff", b"[" * 100_000, b""])
def test_what_is_no_json_object_is_named(tmp_path, content):
    file = tmp_path / "config.json"
    file.write_bytes(content)
    with pytest.raises(DataError, match="config.json must"):
        read_object(file)
    with pytest.raises(DataError, match="none.json must be a JSON file: No such file"):
        read_object(tmp_path / "none.json")
    file.write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_object(file) == {"a": 1}


def test_an_output_belongs_to_one_process(tmp_path):
    code = "import sys; from kbert.files import locked\nwith locked(sys.argv[1]): pass"
    (tmp_path / "link").symlink_to(tmp_path / "output")
    other = [sys.executable, "-c", code, tmp_path / "link"]
    with locked(tmp_path / "output"):
        result = subprocess.run(other, cwd=ROOT, capture_output=True, text=True)
        assert f"Another process is writing {tmp_path / 'link'}." in result.stderr
    subprocess.run(other, cwd=ROOT, check=True)
    assert os.listdir(tmp_path) == ["link"]


def test_folders_that_cannot_be_written_are_known_before(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("here")
    check_folder_writable(tmp_path)
    check_folder_writable(tmp_path / "new/newer")
    for path in ("file", "file/new", "file/new/newer"):
        with pytest.raises(DataError, match="file is a file; expected a folder to write"):
            check_folder_writable(tmp_path / path)
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(DataError, match="cannot be written to"):
        check_folder_writable(tmp_path / "new")


def test_the_current_folder_is_filled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with replacing_folder(".") as folder:
        (folder / "part").mkdir()
        (folder / "part" / "a").write_text("a")
    assert os.listdir() == ["part"]


def test_files_that_change_together(tmp_path):
    (tmp_path / "a").write_text("old a")
    (tmp_path / "other").write_text("other")
    with pytest.raises(RuntimeError), replacing_together(tmp_path) as folder:
        (folder / "a").write_text("half")
        raise RuntimeError
    assert sorted(os.listdir(tmp_path)) == ["a", "other"]
    assert current(tmp_path, "a").read_text() == "old a"
    with replacing_together(tmp_path) as folder:
        (folder / "a").write_text("new a")
        (folder / "b").write_text("new b")
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {
        "a": "new a",
        "b": "new b",
        "other": "other",
    }


_KILLED = """
import os, sys
from kbert.files import replacing, replacing_folder, replacing_together
kind, path = sys.argv[1:]
with globals()[kind](path) as temporary:
    print(temporary, flush=True)
    temporary.write_text("x") if kind == "replacing" else (temporary / "x").write_text("x")
    os._exit(9)
"""


def test_a_folder_goes_whole(tmp_path, monkeypatch):
    """Where its removal is cut short, too."""

    def stopped(*args, **kwargs):
        raise KeyboardInterrupt

    (tmp_path / "run" / "steps").mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", stopped)
        with pytest.raises(KeyboardInterrupt):
            remove_folder(tmp_path / "run")
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    remove_folder(tmp_path / "run")
    assert not list(tmp_path.iterdir())
    with pytest.raises(FileNotFoundError, match="run"):
        remove_folder(tmp_path / "run")


@pytest.mark.parametrize("kind", ["replacing", "replacing_folder", "replacing_together"])
def test_what_a_killed_process_left_is_removed(tmp_path, kind):
    target = tmp_path / "output"
    command = [sys.executable, "-c", _KILLED, kind, target]
    left = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()
    assert os.path.exists(left)
    with globals()[kind](target) as temporary:
        if kind == "replacing":
            temporary.write_text("new")
        assert not os.path.exists(left)
    assert os.listdir(tmp_path) == ["output"]


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "x"), RuntimeError("Error: No space left on device (os error 28)")],
)
@pytest.mark.parametrize("kind", [replacing, replacing_folder, replacing_together])
def test_a_full_disk_names_the_output(tmp_path, kind, error):
    with pytest.raises(OSError, match="No space left on device.*output") as caught:
        with kind(tmp_path / "output"):
            raise error
    assert caught.value.filename == str(tmp_path / "output")
    assert caught.value.errno == errno.ENOSPC
    assert os.listdir(tmp_path) == (["output"] if kind is replacing_together else [])


def test_nesting_without_end(tmp_path):
    file = tmp_path / "a.json"
    for depth, message in ((60, "deeper than 50"), (900, "deeper than 50"), (10**5, "must be a")):
        file.write_text('{"a":' * depth + "1" + "}" * depth)
        with pytest.raises(DataError, match=f"a.json must.*{message}|{message} JSON"):
            read_object(file)


def test_what_cannot_be_seen_is_not_missing(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    assert is_there(tmp_path) and is_there(tmp_path / "file")
    assert not is_there(tmp_path / "nothing")
    with pytest.raises(NotADirectoryError):
        is_there(tmp_path / "file" / "below")

    def refuse(path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(os, "stat", refuse)  # Root may look everywhere.
    with pytest.raises(PermissionError):
        is_there(tmp_path / "nothing")
