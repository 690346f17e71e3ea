"""The vocabulary file, and learning a vocabulary from text."""

import json
import os
import re
from pathlib import Path

import pytest

from apps.cli import run_command
from kbert.corpus.vocabulary import learn_vocabulary, train_vocabulary
from kbert.errors import DataError
from kbert.text.vocabulary import (
    SPECIAL_TOKENS,
    load_vocabulary,
    save_vocabulary,
    special_token_ids,
)

DATA = Path(os.environ.get("KBERT_DATA", Path(__file__).parents[3] / "shared" / "data"))
SAMPLES = Path(__file__).parents[2] / "samples" / "text"


def test_save_and_load(tmp_path):
    path = tmp_path / "vocab.txt"
    # A line separator inside a piece, as published vocabularies have it, ends no line.
    pieces = [*SPECIAL_TOKENS, "a", "##b", "我", "x\u2028y", "\x85"]
    save_vocabulary(path, pieces)
    assert load_vocabulary(path) == pieces
    assert os.listdir(tmp_path) == ["vocab.txt"]


def test_windows_line_ends_and_byte_order_mark(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*SPECIAL_TOKENS, "a"]).encode())
    assert load_vocabulary(path) == [*SPECIAL_TOKENS, "a"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\na\n", "line 8: the piece 'a' .* line 6"),
        (b"[PAD]\n\n[UNK]\n", "line 2: .* empty line"),
        (b"[PAD]\n[UNK]\n\xff\n", "line 3: .* UTF-8"),
        (b"[PAD]\n[UNK]\na\n", r"\[CLS\] \[SEP\] \[MASK\] missing"),
        (b"", "line 1"),
    ],
)
def test_files_that_are_no_vocabulary(tmp_path, content, message):
    path = tmp_path / "vocab.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"vocab.txt.*{message}"):
        load_vocabulary(path)


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "vocab.txt"
    save_vocabulary(path, ["old"])
    with pytest.raises(UnicodeEncodeError):
        save_vocabulary(path, ["new", "\ud800"])
    assert path.read_text() == "old\n"
    assert os.listdir(tmp_path) == ["vocab.txt"]


@pytest.mark.skipif(not (DATA / "vocab").is_dir(), reason=f"needs the vocabularies in {DATA}")
@pytest.mark.parametrize(
    ("name", "size", "ids"),
    [
        ("bert-base-uncased", 30522, (0, 100, 101, 102, 103)),
        ("bert-base-cased", 28996, (0, 100, 101, 102, 103)),
        ("bert-base-chinese", 21128, (0, 100, 101, 102, 103)),
        ("bert-base-multilingual-cased", 119547, (0, 100, 101, 102, 103)),
    ],
)
def test_published_vocabularies(name, size, ids):
    pieces = load_vocabulary(DATA / "vocab" / f"{name}.vocab.txt")
    assert len(pieces) == size
    assert tuple(special_token_ids(pieces).values()) == ids


@pytest.mark.skipif(not (DATA / "vocab").is_dir(), reason=f"needs the vocabularies in {DATA}")
def test_a_vocabulary_with_fewer_special_tokens():
    path = DATA / "vocab" / "test_wp_en_vocab.txt"
    assert len(load_vocabulary(path, special_tokens=("[PAD]", "[UNK]"))) == 7010


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
        ("a a", 3, "must be 7 to .* Received: 3"),
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
        (["a.txt", "--output", "vocab.txt", "--size", "5"], "Received: 5"),
        (["a.txt", "--output", "vocab.txt", "--coverage", "99"], "coverage .*Received: 99"),
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
