"""Minimal pairs: scores against a plain forward pass per token, ties, files, what is refused."""

import json
import lzma

import numpy as np
import pytest

from apps.cli import main
from kbert import build_encoder, save
from kbert.errors import DataError
from kbert.inference.likelihood import log_likelihoods
from kbert.laboratory import minimal_pairs
from kbert.laboratory.minimal_pairs import (
    Pair,
    format_judgement,
    is_right,
    judge,
    read_pairs,
)
from tests.tiny_checkpoint import random_checkpoint

WORDS = "the a cat cats sleep sleeps on mat .".split()


def test_the_command(checkpoint, tmp_path, capsys):
    """What it prints and writes is what `judge` finds."""
    one, other = "the cat sleeps .", "the cat sleep ."
    lines = [
        {"good": one, "bad": other, "UID": "p1", "linguistics_term": "agreement"},
        {"good": other, "bad": one, "UID": "p1", "linguistics_term": "agreement"},
        {"good": one, "bad": one, "UID": "p2", "linguistics_term": "none"},
    ]
    pairs, output = tmp_path / "pairs.jsonl", tmp_path / "scores.json"
    pairs.write_text("\n".join(map(json.dumps, lines)))
    save(tmp_path / "model", checkpoint)
    arguments = ["judge", tmp_path / "model", pairs, "--output", output]
    assert main([str(argument) for argument in arguments]) == 0
    report = judge(checkpoint, read_pairs(pairs))
    assert json.loads(output.read_text()) == json.loads(json.dumps(report))
    assert format_judgement(report) in capsys.readouterr().out
    assert report["pairs"] == 3 and report["accuracy"] == pytest.approx(1 / 3)


@pytest.fixture(scope="module")
def checkpoint():
    return random_checkpoint(WORDS, pretraining=True, max_sequence_length=8)


def test_a_pair_is_right_if_the_good_sentence_scores_higher(checkpoint):
    one, other = "the cat sleeps .", "the cat sleep ."
    scores = log_likelihoods(checkpoint, [one, other])
    good, bad = (one, other) if scores[0] > scores[1] else (other, one)
    pairs = [
        Pair(good, bad, "p1", "agreement"),
        Pair(bad, good, "p1", "agreement"),
        Pair(good, good, "p2", "none"),  # A tie is wrong.
    ]
    report = judge(checkpoint, pairs)
    assert (report["pairs"], report["accuracy"]) == (3, pytest.approx(1 / 3))
    assert report["paradigms"] == {
        "p1": {"pairs": 2, "accuracy": 0.5},
        "p2": {"pairs": 1, "accuracy": 0.0},
    }
    assert format_judgement(report).splitlines() == [
        "phenomenon     pairs   right",
        "agreement          2   50.0%",
        "none               1    0.0%",
        "all                3   33.3%",
    ]


def test_a_difference_that_is_rounding_is_a_tie(checkpoint, monkeypatch):
    scores = {"a": -85.0, "the": -85.0 + 1.4e-6, "cat": -84.99}
    found = lambda _, texts, progress: np.array([scores[text] for text in texts])  # noqa: E731
    monkeypatch.setattr(minimal_pairs, "log_likelihoods", found)
    pairs = [Pair(good, bad) for good, bad in (("the", "a"), ("a", "the"), ("cat", "the"))]
    assert is_right(checkpoint, pairs).tolist() == [False, False, True]


def test_a_sum_favours_the_shorter_sentence(checkpoint, monkeypatch):
    """Of 2 and 8 tokens: by the sum, by its quotient with the square root, and by the mean."""
    scores = {"the cat": -10.0, "the cat sleeps on the mat on .": -18.0}
    found = lambda _, texts, progress: np.array([scores[text] for text in texts])  # noqa: E731
    monkeypatch.setattr(minimal_pairs, "log_likelihoods", found)
    short, long = scores
    pairs = [Pair(short, long), Pair(long, short)]
    for exponent, first in ((0.0, True), (0.4, True), (0.5, False), (1.0, False)):
        assert is_right(checkpoint, pairs, exponent).tolist() == [first, not first]
    assert judge(checkpoint, pairs[:1], 1.0)["accuracy"] == 0


def test_files(tmp_path):
    ours = {"good": "a", "bad": "b", "paradigm": "p", "term": "t"}
    blimp = {"sentence_good": "c", "sentence_bad": "d", "UID": "u", "linguistics_term": "l"}
    lines = [ours, blimp, {"good": "e", "bad": "f"}]
    file = tmp_path / "pairs.jsonl.xz"
    file.write_bytes(lzma.compress("\n".join(map(json.dumps, lines)).encode()))
    pairs = [Pair("a", "b", "p", "t"), Pair("c", "d", "u", "l"), Pair("e", "f")]
    assert read_pairs(file) == read_pairs(file, limit=9) == pairs
    assert read_pairs(file, limit=2) == [pairs[0], pairs[2]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "found none"),
        (b'{"good": "a", "bad": ""}', "line 1: expected texts"),
        (b'{"good": "a", "bad": "b"}\n[]', "line 2: expected a JSON object"),
        (b"\xff\xfe", "must be whole, and UTF-8"),
    ],
)
def test_what_is_no_pair_is_named(tmp_path, content, message):
    file = tmp_path / "pairs.jsonl"
    file.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_pairs(file)


def test_what_cannot_be_judged(checkpoint):
    with pytest.raises(DataError, match="takes 8 tokens, fewer than the sentence 'the the"):
        judge(checkpoint, [Pair("the " * 7, "a")])
    encoder = checkpoint._replace(model=build_encoder(checkpoint.config))
    with pytest.raises(DataError, match="Only a pre-training model says how likely"):
        judge(encoder, [Pair("a", "the")])


def test_a_sentence_without_a_piece_is_not_the_likeliest(checkpoint):
    """Nothing is masked in it, so that its score would be 0, above all others."""
    with pytest.raises(DataError, match="must have a piece at least. Received: '.u200b'"):
        judge(checkpoint, [Pair("a1 a2 a3", "\u200b")])


def test_published_pairs(shared_data):
    for name, paradigms in (("blimp", 67), ("zhoblimp", 118)):
        pairs = read_pairs(shared_data(f"minimal_pairs/{name}/{name}.jsonl.xz"))
        assert len({pair.paradigm for pair in pairs}) == paradigms
