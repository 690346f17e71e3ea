"""The vocabulary file."""

import os
from pathlib import Path

import pytest

from kbert.errors import DataError
from kbert.text.vocabulary import (
    SPECIAL_TOKENS,
    check_vocabulary,
    load_vocabulary,
    save_vocabulary,
    special_token_ids,
)

DATA = Path(os.environ.get("KBERT_DATA", Path(__file__).parents[3] / "shared" / "data"))


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


def test_more_pieces_than_can_be_numbered():
    with pytest.raises(DataError, match="at most 4,194,304 pieces. Received: 4,194,305"):
        check_vocabulary(["a"] * ((1 << 22) + 1))
