"""Learning a vocabulary from text."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from apps.cli import run_command
from kbert.corpus.vocabulary import learn_vocabulary, train_vocabulary
from kbert.errors import DataError
from kbert.files import locked
from kbert.text.vocabulary import SPECIAL_TOKENS, load_vocabulary

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "samples" / "text"


def test_learn_from_samples():
    options = {"size": 1000, "progress": False}
    learned = learn_vocabulary([SAMPLES], num_workers=1, **options)
    pieces = learned.pieces
    assert len(pieces) == len(set(pieces)) == 1000
    assert tuple(pieces[:5]) == SPECIAL_TOKENS
    assert {"the", "##ing", "我"} <= set(pieces)
    assert learned.coverage > 0.9
    assert 1 < learned.pieces_per_word < 2
    assert train_vocabulary([SAMPLES], **options) == pieces


def test_files_of_every_kind(tmp_path):
    (tmp_path / "a.txt").write_text("one one two\n")
    (tmp_path / "b.jsonl").write_text(json.dumps({"body": "Three three"}) + "\n")
    learned = learn_vocabulary([tmp_path], 100, coverage=1.0, field="body", progress=False)
    assert learned.num_words == 5
    assert {"one", "three"} <= set(learned.pieces)
    assert "two" not in learned.pieces  # It occurs once.


@pytest.mark.parametrize(
    ("text", "size", "message"),
    [
        ("", 100, "no words"),
        ("\u200b\u200d \u00ad", 100, "no words"),
        ("abcdefghijklmnopqrstuvwxyz " * 2, 20, "size 20 is too small"),
        ("a a", 3, r"size must be in \[7, .* Received: 3"),
    ],
)
def test_text_or_size_that_cannot_be_used(tmp_path, text, size, message):
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        train_vocabulary([tmp_path / "a.txt"], size, progress=False)


def test_command(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("low lower lowest " * 9)
    output = tmp_path / "vocab.txt"
    argv = [str(tmp_path / "a.txt"), "--output", str(output), "--size", "25", "--quiet"]
    assert run_command("vocabulary", argv) == 0
    assert "low" in load_vocabulary(output)
    assert f"{output}: {len(load_vocabulary(output))} pieces (uncased)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["nowhere.txt", "--output", "vocab.txt"], "no file or folder nowhere.txt"),
        (["a.txt", "--output", "missing/vocab.txt"], "no folder missing"),
        (["a.txt", "--output", "."], "is a folder"),
    ],
)
def test_command_with_bad_input(tmp_path, monkeypatch, capsys, argv, message):
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("some text")
    assert run_command("vocabulary", [*argv, "--quiet"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("kbert vocabulary: error: ") and error.count("\n") == 1
    assert re.search(message, error)
    assert not Path("vocab.txt").exists()


@pytest.mark.parametrize(
    "option", ["--size 5", "--coverage 99", "--min-frequency 0", "--workers 0"]
)
def test_command_with_values_that_cannot_be(capsys, option):
    with pytest.raises(SystemExit) as stop:
        run_command("vocabulary", ["a.txt", "--output", "vocab.txt", *option.split()])
    assert stop.value.code == 2 and f"Received: {option.split()[1]}." in capsys.readouterr().err


def test_input_and_output_are_never_the_same_file(tmp_path, capsys):
    (tmp_path / "own.txt").write_text("low lower lowest " * 9)
    (tmp_path / "link.txt").symlink_to("own.txt")
    for output in ("own.txt", "link.txt"):
        argv = [str(tmp_path / "own.txt"), "--output", str(tmp_path / output), "--size", "25"]
        assert run_command("vocabulary", argv) == 1
        assert "is to be read as text, but is the vocabulary or the output too" in (
            capsys.readouterr().err
        )
    assert (tmp_path / "own.txt").read_text() == "low lower lowest " * 9


def test_an_output_among_the_texts_is_no_text(tmp_path):
    (tmp_path / "a.txt").write_text("low lower lowest " * 9)
    argv = [str(tmp_path), "--output", str(tmp_path / "vocab.txt"), "--size", "25", "--quiet"]
    assert run_command("vocabulary", argv) == 0
    first = (tmp_path / "vocab.txt").read_text()
    assert run_command("vocabulary", argv) == 0
    assert (tmp_path / "vocab.txt").read_text() == first


def test_a_second_process_on_one_output_is_refused(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("low lower lowest " * 9)
    argv = [str(tmp_path / "a.txt"), "--output", str(tmp_path / "vocab.txt"), "--size", "25"]
    with locked(tmp_path / "vocab.txt"):
        assert run_command("vocabulary", argv) == 1
    assert "Another process is writing" in capsys.readouterr().err


def children_of(pid):
    threads = Path(f"/proc/{pid}/task").glob("*/children")
    return {child for thread in threads for child in thread.read_text().split()}


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.02)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for child processes in /proc")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)]
)
def test_a_stopped_command_leaves_neither_processes_nor_half_an_output(tmp_path, number, code):
    (tmp_path / "a.txt").write_text("some words\n" * 900_000)
    (tmp_path / "out").mkdir()
    command = [sys.executable, "-m", "apps.vocabulary", tmp_path / "a.txt", "--workers", "2"]
    process = subprocess.Popen(
        [*command, "--output", tmp_path / "out" / "vocab.txt", "--size", "100"],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )
    # multiprocessing's own, which tracks resources, and both workers.
    wait_until(lambda: len(children_of(process.pid)) >= 3)
    children = children_of(process.pid)
    process.send_signal(number)
    assert process.wait(60) == code
    wait_until(lambda: not any(Path(f"/proc/{child}").exists() for child in children))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["vocab.txt.unfinished"]
