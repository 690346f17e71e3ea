"""From text to token store: what it holds, how it is interrupted, what it refuses."""

import errno
import itertools
import json
import lzma
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
from kbert.corpus.documents import TextReader
from kbert.corpus.prepare import prepare
from kbert.corpus.store import TokenStore
from kbert.corpus.store_writer import StoreWriter, _npy_file
from kbert.errors import DataError
from kbert.text.sentences import split_sentences
from kbert.text.tokenizer import WordPieceTokenizer

ROOT = pathlib.Path(__file__).parents[2]
DATA = pathlib.Path(os.environ.get("KBERT_DATA", ROOT.parent / "shared" / "data"))
PIECES = (
    "[PAD] [UNK] [CLS] [SEP] [MASK] the cat sat on mat . , ! ##s dog 猫 坐 。 a b c d e".split()
)
PIECES += [f"##{letter}" for letter in "abcdefghijklmnopqrtuvwxyz"]
WORDS = "the cat sat on mats , dogs zebra 猫坐".split()


@pytest.fixture
def vocabulary(tmp_path):
    path = tmp_path / "pieces.txt"
    path.write_text("".join(piece + "\n" for piece in PIECES))
    return str(path)


def make_text(num_documents, seed=0):
    """Documents of three lines with two sentences each, no two alike."""
    rng = np.random.default_rng(seed)
    documents = []
    for number in range(num_documents):
        words = rng.choice(WORDS, (3, 2, 6))
        lines = [" ".join(f"The {' '.join(part)}." for part in line) for line in words]
        documents.append(f"A {number} .\n" + "\n".join(lines))
    return "\n\n".join(documents) + "\n"


@pytest.fixture
def text_file(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(make_text(400))
    return str(path)


def texts_of(path):
    return [document.text for document in TextReader([path]).documents()]


def content_of(folder):
    """The bytes of every file below a folder, by name."""
    paths = sorted(path for path in pathlib.Path(folder).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def documents_of(split):
    """The ids of a split: documents of sentences of ids."""
    tokens, sentences, documents = (
        np.asarray(array).tolist() for array in (split.tokens, split.sentences, split.documents)
    )
    return [
        [tokens[sentences[i] : sentences[i + 1]] for i in range(begin, end)]
        for begin, end in zip(documents[:-1], documents[1:], strict=True)
    ]


def small_shards(monkeypatch):
    monkeypatch.setattr(corpus, "TASK_CHARACTERS", 5000)


def test_store_holds_what_the_tokenizer_says(tmp_path, vocabulary, text_file, monkeypatch):
    small_shards(monkeypatch)
    output = tmp_path / "store"
    result = prepare([text_file], output, vocabulary, validation_share=0.2, progress=False)
    store = TokenStore(output)
    tokenizer = WordPieceTokenizer(vocabulary, **store.tokenizer_options)
    texts = texts_of(text_file)
    expected = [tokenizer.tokenize(split_sentences(text)).to_list() for text in texts]
    found = documents_of(store["train"]) + documents_of(store["validation"])
    assert sorted(found) == sorted(expected)
    assert store["train"].tokens.dtype == np.uint16
    assert 40 < store["validation"].num_documents < 120
    for name, counts in result["splits"].items():
        assert counts["documents"] == store[name].num_documents
        assert counts["sentences"] == store[name].num_sentences
        assert counts["tokens"] == len(store[name].tokens)
    ids = [token for document in expected for sentence in document for token in sentence]
    summary = store.summary
    assert summary["unknown_rate"] == pytest.approx(ids.count(1) / len(ids))
    assert summary["unknown_rate"] > 0
    assert summary["bytes"] == sum(len(text.encode()) for text in texts)
    assert summary["bytes_per_token"] == pytest.approx(summary["bytes"] / len(ids))
    assert sorted(path.name for path in output.iterdir()) == [
        "store.json",
        "train",
        "validation",
        "vocab.txt",
    ]


def test_order_of_documents_is_kept(tmp_path, vocabulary, text_file, monkeypatch):
    small_shards(monkeypatch)
    prepare([text_file], tmp_path / "store", vocabulary, validation_share=0, progress=False)
    tokenizer = WordPieceTokenizer(vocabulary)
    expected = [tokenizer.tokenize(split_sentences(text)).to_list() for text in texts_of(text_file)]
    store = TokenStore(tmp_path / "store")
    assert documents_of(store["train"]) == expected
    assert store["validation"].num_documents == 0


def test_options_reach_the_tokenizer_and_the_splitter(tmp_path, vocabulary):
    text = tmp_path / "a.jsonl"
    text.write_text(json.dumps({"body": "The cat. The dog\n猫坐。猫"}) + "\n")
    options = {"field": "body", "validation_share": 0, "progress": False}
    prepare([text], tmp_path / "a", vocabulary, **options)
    prepare([text], tmp_path / "b", vocabulary, lowercase=False, sentences="line", **options)
    ids = {piece: number for number, piece in enumerate(PIECES)}
    [uncased] = documents_of(TokenStore(tmp_path / "a")["train"])
    assert uncased == [
        [ids["the"], ids["cat"], ids["."]],
        [ids["the"], ids["dog"]],
        [ids["猫"], ids["坐"], ids["。"]],
        [ids["猫"]],
    ]
    [cased] = documents_of(TokenStore(tmp_path / "b")["train"])
    assert len(cased) == 2
    assert cased[0][0] == ids["[UNK]"]
    assert TokenStore(tmp_path / "b").tokenizer_options["lowercase"] is False


def test_large_vocabularies_take_four_bytes(tmp_path, text_file):
    vocabulary = tmp_path / "pieces.txt"
    pieces = PIECES[:5] + [f"piece{i}" for i in range(70_000)] + PIECES[5:]
    vocabulary.write_text("\n".join(pieces) + "\n")
    prepare([text_file], tmp_path / "store", vocabulary, progress=False)
    tokens = TokenStore(tmp_path / "store")["train"].tokens
    assert tokens.dtype == np.uint32
    assert tokens.max() > 70_000


def test_validation_documents_do_not_depend_on_order_or_files(tmp_path, vocabulary):
    texts = [text + "\n" for text in make_text(200).split("\n\n")]
    (tmp_path / "a.txt").write_text("\n".join(texts))
    (tmp_path / "b").mkdir()
    for number, text in enumerate(reversed(texts)):
        (tmp_path / "b" / f"{number:03d}.md").write_text(text)
    held_out = []
    for name in ("a.txt", "b"):
        output = tmp_path / f"store {name}"
        prepare([tmp_path / name], output, vocabulary, validation_share=0.3, progress=False)
        held_out.append(documents_of(TokenStore(output)["validation"]))
    assert 30 < len(held_out[0]) < 90
    assert sorted(held_out[0]) == sorted(held_out[1])


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


def test_problems_are_in_the_summary(tmp_path, vocabulary):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.txt").write_bytes(b"The cat.\n\nThe \xff dog.\n\n\x01\x02\n")
    (folder / "b.jsonl").write_text('{"text": "The mat."}\n{"text"\n')
    (folder / "c.txt").write_bytes(b"")
    damaged = lzma.compress(b"The mat.\n" + os.urandom(100_000).hex().encode())[:-200]
    (folder / "d.txt.xz").write_bytes(damaged)
    (folder / "e.pdf").write_bytes(b"%PDF")
    result = prepare([folder], tmp_path / "store", vocabulary, progress=False)
    found = {
        entry["problem"].split(" (")[0]: entry for entry in result["summary"]["problems"]["listed"]
    }
    assert {os.path.basename(entry["file"]): name for name, entry in found.items()} == {
        "folder": "files of other kinds, left out",
        "a.txt": "bytes that are not UTF-8, read as U+FFFD",
        "b.jsonl": "not JSON, left out",
        "c.txt": "empty file",
        "d.txt.xz": "damaged, the rest is not read",
    }
    assert sum(counts["documents"] for counts in result["splits"].values()) == 4


def test_a_huge_line_becomes_sentences(tmp_path, vocabulary):
    (tmp_path / "a.txt").write_text("the " * 2_500_000)
    result = prepare([tmp_path / "a.txt"], tmp_path / "store", vocabulary, progress=False)
    split = max(result["splits"].values(), key=lambda counts: counts["tokens"])
    assert split["tokens"] > 1_000_000
    assert sum(counts["tokens"] for counts in result["splits"].values()) == 2_500_000
    assert split["sentences"] >= 250


def test_output_and_vocabulary_may_lie_in_the_folder_that_is_read(tmp_path, vocabulary, text_file):
    arguments = [[tmp_path], tmp_path / "store", vocabulary]
    first = prepare(*arguments, progress=False)
    before = content_of(tmp_path / "store")
    assert prepare(*arguments, progress=False)["already_finished"]
    assert content_of(tmp_path / "store") == before
    assert {entry["problem"] for entry in first["summary"]["problems"]["listed"]} == {
        "output or vocabulary, left out"
    }


def test_no_text_at_all_is_refused(tmp_path, vocabulary):
    (tmp_path / "a.txt").write_text(" \n\n")
    with pytest.raises(DataError, match="no text"):
        prepare([tmp_path / "a.txt"], tmp_path / "store", vocabulary, progress=False)


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"input": "missing.txt"}, 1, "missing.txt"),
        ({"--vocabulary": "missing"}, 1, "missing"),
        ({"--validation-share": "1"}, 2, "in [0, 1)"),
        ({"--processes": "0"}, 2, "at least 1"),
        ({"--output": "."}, 1, "is not empty"),
        ({"--output": "text.txt"}, 1, "text.txt"),
        ({"--output": "text.txt/store"}, 1, "text.txt/store"),
    ],
)
def test_bad_arguments_are_one_sentence(
    tmp_path, vocabulary, text_file, monkeypatch, capsys, changes, code, message
):
    monkeypatch.chdir(tmp_path)
    options = {"input": "text.txt", "--vocabulary": vocabulary, "--output": "store"} | changes
    arguments = [options.pop("input"), *itertools.chain.from_iterable(options.items())]
    try:
        found = run_command("prepare", arguments)
    except SystemExit as stop:
        found = stop.code
    error = capsys.readouterr().err.splitlines()
    assert found == code and message in error[-1]
    assert len(error) == 1 or error[0].startswith("usage: kbert prepare")


def test_command_prints_a_summary(tmp_path, vocabulary, text_file, capsys):
    arguments = [text_file, "--vocabulary", vocabulary, "--output", str(tmp_path / "store")]
    assert run_command("prepare", arguments) == 0
    first = capsys.readouterr().out
    assert run_command("prepare", arguments) == 0
    second = capsys.readouterr().out
    for line in ("train:", "validation:", "[UNK]:", "text:", "problems:    none"):
        assert line in first
        assert line in second
    assert "MB of text a second" in first
    assert "already finished" in second


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
