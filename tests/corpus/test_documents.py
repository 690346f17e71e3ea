"""Reading text files: formats, compressions, and everything that can be wrong with them."""

import gzip
import json
import lzma
import os
import tracemalloc

import numpy as np
import pytest
import zstandard

from kbert.corpus import documents as files
from kbert.corpus.documents import TextReader
from kbert.corpus.problems import Problems
from kbert.errors import DataError

COMPRESS = {
    "": bytes,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}
COMPRESSED = [".gz", ".xz", ".zst"]


def write(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def write_rows(folder, name, rows):
    return write(folder, name, "".join(json.dumps(row) + "\n" for row in rows))


def read(*paths, **options):
    """(texts, problems) of files, problems as {(file name, problem): (count, first line)}."""
    reader = TextReader(paths, **options)
    texts = [document.text for document in reader.documents()]
    listed = {
        (os.path.basename(entry["file"]), entry["problem"]): (entry["count"], entry["first_line"])
        for entry in reader.problems.as_dict()["listed"]
    }
    return texts, listed


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("kind", [".txt", ".md"])
def test_blank_lines_divide_documents_in_every_compression(tmp_path, kind, suffix):
    content = "first\nstill first\n\n \t\nsecond é\n\n\n\n第三"
    path = write(tmp_path, f"a{kind}{suffix}", COMPRESS[suffix](content.encode()))
    texts, problems = read(path)
    assert [text.strip() for text in texts] == ["first\nstill first", "second é", "第三"]
    assert not problems


@pytest.mark.parametrize("suffix", COMPRESS)
def test_json_lines_in_every_compression(tmp_path, suffix):
    rows = [{"text": "one\n\nstill one", "title": "t"}, {"text": "二"}]
    content = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n\n"
    path = write(tmp_path, "a.jsonl" + suffix, COMPRESS[suffix](content.encode()))
    assert read(path) == (["one\n\nstill one", "二"], {})
    assert read(path, field="title")[0] == ["t"]


def test_a_file_can_be_one_document(tmp_path):
    path = write(tmp_path, "a.txt", "one\n\ntwo\n")
    assert read(path, document="file")[0] == ["one\n\ntwo\n"]


def test_byte_order_mark_and_windows_line_ends(tmp_path):
    text = write(tmp_path, "a.txt", b"\xef\xbb\xbfone\r\ntwo\r\n\r\nthree\r\n")
    rows = write(tmp_path, "a.jsonl", b'\xef\xbb\xbf{"text": "x"}\r\n{"text": "y"}\r\n')
    assert read(text)[0] == ["one\ntwo\n", "three\n"]
    assert read(rows) == (["x", "y"], {})


@pytest.mark.parametrize("suffix", COMPRESSED)
def test_several_compressed_streams_in_one_file(tmp_path, suffix):
    content = COMPRESS[suffix](b"one\n") + COMPRESS[suffix](b"two\n")
    assert read(write(tmp_path, "a.txt" + suffix, content))[0] == ["one\ntwo\n"]


def test_documents_know_their_place(tmp_path):
    first = write(tmp_path, "a.txt", "one\n\n\ntwo\nlines\n")
    second = write_rows(tmp_path, "b.jsonl", [{"text": "three"}, {"text": "four"}])
    found = list(TextReader([first, second]).documents())
    places = [(entry.file, entry.number, entry.line) for entry in found]
    assert places == [(0, 0, 1), (0, 1, 4), (1, 0, 1), (1, 1, 2)]


def test_reading_goes_on_from_any_document(tmp_path):
    first = write(tmp_path, "a.txt", b"one\n\ntw\xffo\n\nthree\n")
    second = write(tmp_path, "b.jsonl", b'{"text": "four"}\nbroken\n{"text": "five"}\n')
    reader = TextReader([first, second])
    everything = list(reader.documents())
    assert len(reader.problems.as_dict()["listed"]) == 2
    for index, entry in enumerate(everything):
        later = TextReader([first, second])
        assert list(later.documents(entry.file, entry.number)) == everything[index:]
        # What lies before was counted by whoever read it.
        assert len(later.problems.as_dict()["listed"]) == (
            2 if index < 2 else 1 if index < 5 else 0
        )


def test_folders_are_searched_in_sorted_order(tmp_path):
    for name in (
        "b.txt",
        "a/z.md.gz",
        "a/b.jsonl",
        "c.pdf",
        ".hidden.txt",
        ".git/x.md",
        "d.txt.bak",
    ):
        write(tmp_path, name, b'{"text": "x"}\n')
    write(tmp_path, "a/z.md.gz", gzip.compress(b"x"))
    reader = TextReader([tmp_path, str(tmp_path / "b.txt")])
    names = [os.path.relpath(path, tmp_path) for path in reader.files]
    assert names == ["b.txt", "a/b.jsonl", "a/z.md.gz"]
    problems = reader.problems.as_dict()["listed"]
    assert [(entry["problem"], entry["count"]) for entry in problems] == [
        ("hidden folders, left out", 1),
        ("files of other kinds, left out", 3),
    ]


def test_links_are_followed_and_each_real_file_is_read_once(tmp_path):
    write(tmp_path, "elsewhere/deep/x.txt", "linked")
    for name in ("b", "z"):
        write(tmp_path, f"corpus/{name}.txt", name)
    for link, target in {
        "a": "../elsewhere",
        "c": "../elsewhere/deep",
        "loop": "..",
        "self": "self",
        "nowhere": "missing",
        "y.txt": "z.txt",
    }.items():
        (tmp_path / "corpus" / link).symlink_to(target)
    (tmp_path / "corpus" / "loop").unlink()
    (tmp_path / "elsewhere" / "loop").symlink_to("../corpus")
    texts, problems = read(str(tmp_path / "corpus"))
    assert texts == ["b", "z", "linked"]
    assert problems == {
        ("corpus", "links to folders that are read already, left out"): (2, None),
        ("corpus", "files of other kinds, left out"): (2, None),
        ("z.txt", "another name of a file that is read already, left out"): (1, None),
    }


def test_what_a_command_writes_is_no_text(tmp_path):
    write(tmp_path, "a.txt", "text")
    write(tmp_path, "vocab.txt", "[PAD]")
    write(tmp_path, "store/vocab.txt", "[PAD]")
    outputs = [tmp_path / "vocab.txt", tmp_path / "store"]
    reader = TextReader([tmp_path], leave_out=outputs)
    assert reader.files == [str(tmp_path / "a.txt")]
    [problem] = reader.problems.as_dict()["listed"]
    assert (problem["problem"], problem["count"]) == ("output or vocabulary, left out", 2)
    with pytest.raises(DataError, match="is to be read as text, but is"):
        TextReader([tmp_path / "vocab.txt"], leave_out=outputs)


@pytest.mark.parametrize("name", ["pipe.txt", "device.txt", "loop.txt"])
def test_what_cannot_be_read_twice_is_counted_or_refused(tmp_path, name):
    write(tmp_path, "a.txt", "text")
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "device.txt").symlink_to("/dev/zero")
    (tmp_path / "loop.txt").symlink_to("loop.txt")
    assert read(tmp_path) == (
        ["text"],
        {(tmp_path.name, "files of other kinds, left out"): (3, None)},
    )
    # A circle of links is the system's own sentence, with the name.
    with pytest.raises((DataError, OSError), match=f"{name} is not a regular file|links.*{name}"):
        TextReader([tmp_path / name])


@pytest.mark.parametrize("suffix", COMPRESSED)
def test_a_decompression_bomb_takes_little_memory(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr(files, "MAX_DOCUMENT_LENGTH", 200_000)
    monkeypatch.setattr(files, "_PIECE_BYTES", 100_000)
    path = write(tmp_path, "a.txt" + suffix, COMPRESS[suffix](b"a" * 60_000_000))
    tracemalloc.start()
    num_characters = sum(len(document.text) for document in TextReader([path]).documents())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert num_characters == 60_000_000
    assert peak < 48e6


def test_bytes_read_reach_the_size_of_the_files(tmp_path):
    paths = [write(tmp_path, f"{i}.txt", "text\n\n" * 1000) for i in range(3)]
    reader = TextReader(paths)
    for _ in reader.documents():
        assert 0 < reader.bytes_read <= reader.total_bytes
    assert reader.bytes_read == reader.total_bytes == 18000


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"text", "must have a name in"),
        ("a.gz", gzip.compress(b"text", mtime=0), "must have a name in"),
        ("a.txt", b"\x7fELF" + bytes(range(256)) * 10, "is binary"),
        ("a.txt", np.random.default_rng(0).bytes(100_000), "is binary"),
        ("a.txt", "text".encode("utf-16"), "is UTF-16"),
        ("a.txt", "文字编码不对".encode("gbk") * 20, "is not UTF-8"),
        ("a.txt", gzip.compress(b"text", mtime=0), "name it .gz"),
        ("a.txt.xz", gzip.compress(b"text", mtime=0), "is no xz file"),
        ("a.txt.gz", b"plain text", "is no gzip file"),
        ("a.txt.zst", b"plain text", "is no zstd file"),
        ("a.jsonl", b"plain text\n", "not JSON"),
        ("a.jsonl", b"[1, 2]\n", "without a text in field 'text'"),
        ("a.jsonl", b'{"body": "x"}\n', "without a text in field 'text'"),
    ],
)
def test_what_cannot_be_text_is_refused_at_once(tmp_path, name, content, message):
    path = write(tmp_path, name, content)
    with pytest.raises(DataError, match=message) as caught:
        TextReader([path])
    assert path in str(caught.value)


def test_missing_files_and_empty_folders_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    for path in ("missing.txt", "empty"):
        with pytest.raises(DataError, match=path):
            TextReader([str(tmp_path / path)])
    with pytest.raises(DataError):
        TextReader([])
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(DataError, match="regular file"):
        TextReader([str(tmp_path / "pipe.txt")])


def test_invalid_utf8_is_read_on_and_counted(tmp_path):
    path = write(
        tmp_path, "a.txt", b"good\n\nb\xffad \xe4\xb8 one\nmore \xfe\n\ngood \xef\xbf\xbd\n"
    )
    texts, problems = read(path)
    assert texts == ["good\n", "b\ufffdad \ufffd one\nmore \ufffd\n", "good \ufffd\n"]
    assert problems == {("a.txt", "bytes that are not UTF-8, read as U+FFFD"): (3, 3)}


def test_bad_json_lines_are_left_out_and_counted(tmp_path):
    rows = ['{"text": "good"}', "{", '{"text": 5}', '{"text": null}', '{"text": ""}', "[]"]
    rows += ['{"text": "half \\ud83d character"}', "[" * 100_000, '{"text": "good too"}']
    texts, problems = read(write(tmp_path, "a.jsonl", "\n".join(rows)))
    assert texts == ["good", "half ? character", "good too"]
    assert problems == {
        ("a.jsonl", "not JSON, left out"): (2, 2),
        ("a.jsonl", "without a text in field 'text', left out"): (3, 3),
        ("a.jsonl", "with nothing in field 'text', left out"): (1, 5),
        ("a.jsonl", "half of a character, read as ?"): (1, 7),
    }


@pytest.mark.parametrize("suffix", COMPRESS)
def test_empty_files_are_counted(tmp_path, suffix):
    good = write(tmp_path, "good.txt", "text")
    empty = write(tmp_path, "empty.txt" + suffix, b"")
    hollow = write(tmp_path, "hollow.txt" + suffix, COMPRESS[suffix](b""))
    texts, problems = read(empty, good, hollow)
    assert texts == ["text"]
    assert problems == {
        (f"{name}.txt{suffix}", "empty file"): (1, None) for name in ("empty", "hollow")
    }


@pytest.mark.parametrize("suffix", COMPRESSED)
@pytest.mark.parametrize("damage", ["cut", "overwritten"])
def test_damaged_compressed_files_give_what_can_be_read(tmp_path, suffix, damage):
    rng = np.random.default_rng(0)
    lines = [f"document {i} {rng.bytes(20).hex()}\n\n" for i in range(5_000)]
    whole = COMPRESS[suffix]("".join(lines).encode())
    half = len(whole) // 2
    broken = whole[:half] + (b"" if damage == "cut" else b"\0" * 1000 + whole[half + 1000 :])
    path = write(tmp_path, "a.txt" + suffix, broken)
    texts, problems = read(path)
    assert any("damaged" in problem for _, problem in problems)
    assert len(texts) > 1000
    assert [text + "\n" for text in texts[:1000]] == lines[:1000]


def test_a_short_compressed_file_that_ends_early_does_not_stop_the_others(tmp_path):
    whole = gzip.compress("".join(f"document {i}\n\n" for i in range(500)).encode(), mtime=0)
    broken = write(tmp_path, "a.txt.gz", whole[: len(whole) // 2])
    texts, problems = read(broken, write(tmp_path, "b.txt", "text"))
    assert texts[0] == "document 0\n" and texts[-1] == "text"
    assert [problem.split(",")[0] for _, problem in problems] == ["damaged"]


def test_a_byte_order_mark_before_a_long_line_of_json(tmp_path):
    rows = json.dumps({"text": "x" * 70_000}) + "\n" + json.dumps({"text": "y"}) + "\n"
    texts, problems = read(write(tmp_path, "a.jsonl", b"\xef\xbb\xbf" + rows.encode()))
    assert texts == ["x" * 70_000, "y"] and not problems


@pytest.mark.parametrize("line", ["a" * 1000, " " * 1000 + "a", "a" * 999 + " " * 2001 + "a"])
def test_a_blank_piece_of_a_long_line_is_no_blank_line(tmp_path, monkeypatch, line):
    monkeypatch.setattr(files, "_PIECE_BYTES", 1000)
    texts, _ = read(write(tmp_path, "a.txt", f"{line}\nnext\n\nother\n"))
    assert texts == [f"{line}\nnext\n", "other\n"]


def test_a_huge_line_is_read_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_DOCUMENT_LENGTH", 300_000)
    monkeypatch.setattr(files, "_PIECE_BYTES", 100_000)
    text = write(tmp_path, "a.txt", "中" * 300_000 + "\n\nnext\n")
    texts, problems = read(text)
    assert "".join(texts[:-1]).strip() == "中" * 300_000
    assert texts[-1] == "next\n"
    assert problems == {("a.txt", "very long document, divided"): (3, 1)}
    rows = write_rows(tmp_path, "a.jsonl", [{"text": "word " * 150_000}, {"text": "next"}])
    texts, problems = read(rows)
    assert " ".join(texts).split() == ["word"] * 150_000 + ["next"]
    assert problems == {("a.jsonl", "very long document, divided"): (2, 1)}


def test_a_json_line_without_end_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_JSON_LINE_BYTES", 100)
    rows = [{"text": "good"}, {"text": "x" * 1000}, {"text": "good too"}]
    texts, problems = read(write_rows(tmp_path, "a.jsonl", rows))
    assert texts == ["good", "good too"]
    assert problems == {("a.jsonl", "line over 100 bytes, left out"): (1, 2)}


@pytest.mark.parametrize("suffix", COMPRESS)
def test_memory_does_not_grow_with_the_file(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr(files, "MAX_DOCUMENT_LENGTH", 200_000)
    monkeypatch.setattr(files, "_PIECE_BYTES", 100_000)
    part = b"some words that repeat\n" * 5_000 + b"\n" + b"x" * 4_000_000
    path = write(tmp_path, "a.txt" + suffix, COMPRESS[suffix](part) * 8)
    tracemalloc.start()
    count = sum(1 for _ in TextReader([path], document="file").documents())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count > 100
    assert peak < 16e6


def test_problems_are_listed_up_to_a_number():
    problems = Problems()
    for i in range(1500):
        problems.add(f"{i}.txt", "empty file")
        problems.add("0.txt", "empty file")
    both = Problems()
    both.merge(problems.as_dict())
    assert both.as_dict() == problems.as_dict()
    assert len(both.as_dict()["listed"]) == 1000
    assert both.as_dict()["listed"][0]["count"] == 1501
    assert both.as_dict()["unlisted"] == 500
