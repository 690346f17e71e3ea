"""A token store while it is written: killed, interrupted, on a full disk; two writers at once."""

import errno
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from apps.cli import run_command
from kbert.corpus import prepare as corpus
from kbert.corpus.prepare import prepare
from kbert.corpus.store import TokenStore
from kbert.corpus.store_writer import StoreWriter, _npy_file
from kbert.errors import DataError
from tests.conftest import ROOT
from tests.corpus.small_corpus import content_of, make_text, small_shards


def test_shards_and_workers_do_not_change_the_store(tmp_path, vocabulary, text_file, monkeypatch):
    small_shards(monkeypatch)
    for count in (1, 2):
        prepare([text_file], tmp_path / str(count), vocabulary, processes=count, progress=False)
    assert content_of(tmp_path / "1") == content_of(tmp_path / "2")


@pytest.mark.slow
def test_worker_processes_write_the_same_store(tmp_path, vocabulary, text_file):
    for count in (1, 3):
        subprocess.run(
            [sys.executable, "-m", "apps.prepare", text_file, "--vocabulary", vocabulary]
            + ["--output", tmp_path / str(count), "--processes", str(count)],
            cwd=ROOT,
            check=True,
        )
    assert content_of(tmp_path / "1") == content_of(tmp_path / "3")


# Runs prepare with shards small enough that there is time to kill it between two of them.
SCRIPT = """
import sys
from kbert.corpus import prepare as corpus
corpus.TASK_CHARACTERS = 5000
corpus.prepare([sys.argv[1]], sys.argv[2], sys.argv[3], progress=False)
"""


def test_killed_and_continued_gives_the_same_bytes(tmp_path, vocabulary, monkeypatch):
    text = tmp_path / "text.txt"
    text.write_bytes(b"bad \xff byte\n\n" + make_text(2000).encode())
    output = tmp_path / "killed"
    command = [sys.executable, "-c", SCRIPT, str(text), str(output), vocabulary]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    while process.poll() is None and len(list(output.glob("shards/*.npz"))) < 5:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (output / "store.json").exists()
    with pytest.raises(DataError, match="unfinished"):
        TokenStore(output)
    num_shards = len(list(output.glob("shards/*.npz")))
    # What a power cut can leave: half a shard, and a temporary file.
    half = (output / "shards" / "000003.npz").read_bytes()[:500]
    (output / "shards" / "000003.npz").write_bytes(half)
    (output / "shards" / "000099.1.tmp").write_bytes(half)

    small_shards(monkeypatch)
    written = []
    write = corpus.ShardEncoder.write
    monkeypatch.setattr(
        corpus.ShardEncoder,
        "write",
        lambda self, path, *rest: written.append(path.stem) or write(self, path, *rest),
    )
    prepare([text], output, vocabulary, progress=False)
    num_written = len(written)
    prepare([text], tmp_path / "whole", vocabulary, progress=False)
    assert "000003" in written[:num_written]
    assert num_written == (len(written) - num_written) - num_shards + 1
    assert content_of(output) == content_of(tmp_path / "whole")


def test_interrupted_while_the_arrays_are_written(tmp_path, vocabulary, text_file, monkeypatch):
    small_shards(monkeypatch)
    (tmp_path / "empty.txt").write_text("")
    inputs = [text_file, tmp_path / "empty.txt"]
    prepare(inputs, tmp_path / "whole", vocabulary, progress=False)
    write_split = StoreWriter._write_split

    def fails(self, split, *rest):
        write_split(self, split, *rest)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(StoreWriter, "_write_split", fails)
        with pytest.raises(KeyboardInterrupt):
            prepare(inputs, tmp_path / "store", vocabulary, progress=False)
    prepare(inputs, tmp_path / "store", vocabulary, progress=False)
    assert content_of(tmp_path / "store") == content_of(tmp_path / "whole")
    [problem] = TokenStore(tmp_path / "store").summary["problems"]["listed"]
    assert (problem["problem"], problem["count"]) == ("empty file", 1)


@pytest.mark.parametrize("stage", ["write", "_write_split"])
def test_a_full_disk_is_a_sentence_and_the_run_goes_on(
    tmp_path, vocabulary, text_file, monkeypatch, stage
):
    small_shards(monkeypatch)
    prepare([text_file], tmp_path / "whole", vocabulary, progress=False)
    owner = corpus.ShardEncoder if stage == "write" else StoreWriter
    works, calls = getattr(owner, stage), []

    def fails(*arguments):
        calls.append(arguments)
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return works(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(owner, stage, fails)
        with pytest.raises(DataError, match="no room left on the disk of .*store"):
            prepare([text_file], tmp_path / "store", vocabulary, processes=1, progress=False)
    assert not list((tmp_path / "store").rglob("*.tmp"))
    prepare([text_file], tmp_path / "store", vocabulary, progress=False)
    assert content_of(tmp_path / "store") == content_of(tmp_path / "whole")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("length", [3, 1_000_000])
def test_an_array_that_does_not_fit_on_the_disk(length):
    with pytest.raises(OSError, match="No space left"):
        with _npy_file(pathlib.Path("/dev/full"), np.dtype(np.int64), length) as write:
            write(np.zeros(length, np.int64))


def test_a_finished_store_is_left_alone(tmp_path, vocabulary, text_file):
    first = prepare([text_file], tmp_path / "store", vocabulary, progress=False)
    before = content_of(tmp_path / "store")
    again = prepare([text_file], tmp_path / "store", vocabulary, progress=False)
    assert not first["already_finished"]
    assert again["already_finished"]
    assert again["splits"] == first["splits"]
    assert content_of(tmp_path / "store") == before


def test_another_job_in_the_same_folder_is_refused(tmp_path, vocabulary, text_file, monkeypatch):
    output = tmp_path / "store"
    with monkeypatch.context() as patch:
        patch.setattr(corpus, "_finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            prepare([text_file], output, vocabulary, progress=False)
    with pytest.raises(DataError, match="was begun with other lowercase"):
        prepare([text_file], output, vocabulary, lowercase=False, progress=False)
    prepare([text_file], output, vocabulary, progress=False)
    with pytest.raises(DataError, match="made with other validation_share"):
        prepare([text_file], output, vocabulary, validation_share=0.5, progress=False)
    with open(text_file, "a") as file:
        file.write("More.\n")
    with pytest.raises(DataError, match="made with other inputs"):
        prepare([text_file], output, vocabulary, progress=False)


def test_two_writers_at_once_are_refused(tmp_path):
    writer = StoreWriter(tmp_path / "store", {"inputs": "x"})
    with pytest.raises(DataError, match="Another"):
        StoreWriter(tmp_path / "store", {"inputs": "x"})
    writer.close()
    StoreWriter(tmp_path / "store", {"inputs": "x"}).close()


def test_ctrl_c_ends_cleanly_and_can_be_continued(tmp_path, vocabulary, text_file, monkeypatch):
    small_shards(monkeypatch)
    advance = corpus._ProgressBar.advance

    def interrupt(self, info):
        advance(self, info)
        os.kill(os.getpid(), signal.SIGINT)

    arguments = [text_file, "--vocabulary", vocabulary, "--output", str(tmp_path / "store")]
    with monkeypatch.context() as patch:
        patch.setattr(corpus._ProgressBar, "advance", interrupt)
        assert run_command("prepare", arguments) == 130
    assert not (tmp_path / "store" / "store.json").exists()
    assert run_command("prepare", arguments) == 0
    prepare([text_file], tmp_path / "whole", vocabulary, progress=False)
    assert content_of(tmp_path / "store") == content_of(tmp_path / "whole")
