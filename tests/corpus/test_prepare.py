"""From text to token store: what it holds, what it refuses."""

import itertools
import json
import lzma
import os

import numpy as np
import pytest

from apps.cli import run_command
from kbert.corpus.documents import TextReader
from kbert.corpus.prepare import prepare
from kbert.corpus.store import TokenStore
from kbert.errors import DataError
from kbert.text.sentences import split_sentences
from kbert.text.tokenizer import WordPieceTokenizer
from tests.corpus.small_corpus import PIECES, content_of, make_text, small_shards


def texts_of(path):
    return [document.text for document in TextReader([path]).documents()]


def documents_of(split):
    """The ids of a split: documents of sentences of ids."""
    tokens, sentences, documents = (
        np.asarray(array).tolist() for array in (split.tokens, split.sentences, split.documents)
    )
    return [
        [tokens[sentences[i] : sentences[i + 1]] for i in range(begin, end)]
        for begin, end in zip(documents[:-1], documents[1:], strict=True)
    ]


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


def test_problems_are_in_the_summary(tmp_path, vocabulary):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.txt").write_bytes(b"The cat.\n\nThe \xff dog.\n\n\x01\x02\n")
    (folder / "b.jsonl").write_text('{"text": "The mat."}\n{"text"\n')
    (folder / "c.txt").write_bytes(b"")
    noise = np.random.default_rng(0).bytes(100_000)
    damaged = lzma.compress(b"The mat.\n" + noise.hex().encode())[:-200]
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
