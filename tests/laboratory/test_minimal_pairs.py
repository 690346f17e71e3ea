"""Minimal pairs: scores against a plain forward pass per token, ties, files, what is refused."""

import json
import lzma

import keras
import numpy as np
import pytest

from kbert import BertConfig, Checkpoint, WordPieceTokenizer, build_encoder, build_pretraining_model
from kbert.errors import DataError
from kbert.laboratory.minimal_pairs import (
    Pair,
    format_judgement,
    judge,
    pseudo_log_likelihoods,
    read_pairs,
)

WORDS = "the a cat cats sleep sleeps on mat .".split()
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
CONFIG = BertConfig(
    len(VOCABULARY),
    num_layers=1,
    num_heads=2,
    hidden_dim=8,
    intermediate_dim=16,
    max_sequence_length=8,
)


@pytest.fixture(scope="module")
def checkpoint():
    keras.utils.set_random_seed(3)
    model = build_pretraining_model(CONFIG)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.normal(scale=0.5, size=weight.shape))
    return Checkpoint(model, WordPieceTokenizer(VOCABULARY), CONFIG)


def by_hand(checkpoint, text):
    """One forward pass a token, and a softmax in NumPy."""
    ids = [2, *(VOCABULARY.index(word) for word in text.split()), 3]
    total = 0.0
    for place in range(1, len(ids) - 1):
        masked = np.array([[4 if i == place else piece for i, piece in enumerate(ids)]])
        logits = checkpoint.model(
            {
                "token_ids": masked,
                "segment_ids": np.zeros_like(masked),
                "padding_mask": np.ones_like(masked),
                "mask_positions": np.array([[place]]),
                "cls_positions": np.array([[0]]),
            },
            training=False,
        )["masked_lm"]
        logits = np.asarray(logits, "float64")[0, 0]
        total += logits[ids[place]] - np.log(np.exp(logits).sum())
    return total


def test_scores_are_those_of_one_pass_a_token(checkpoint, monkeypatch):
    monkeypatch.setattr("kbert.laboratory.minimal_pairs._MOST_TOKENS", 12)  # Several batches.
    texts = ["the cat sleeps .", "the cats", "", "a cat sleeps on a mat", "the cat sleep ."]
    found = pseudo_log_likelihoods(checkpoint, texts)
    assert found[2] == 0
    expected = [by_hand(checkpoint, text) for text in texts]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_pair_is_right_if_the_good_sentence_scores_higher(checkpoint):
    one, other = "the cat sleeps .", "the cat sleep ."
    scores = pseudo_log_likelihoods(checkpoint, [one, other])
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


def test_files(tmp_path):
    ours = {"good": "a", "bad": "b", "paradigm": "p", "term": "t"}
    blimp = {"sentence_good": "c", "sentence_bad": "d", "UID": "u", "linguistics_term": "l"}
    lines = [ours, blimp, {"good": "e", "bad": "f"}]
    file = tmp_path / "pairs.jsonl.xz"
    file.write_bytes(lzma.compress("\n".join(map(json.dumps, lines)).encode()))
    assert read_pairs(file) == [Pair("a", "b", "p", "t"), Pair("c", "d", "u", "l"), Pair("e", "f")]


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
    encoder = checkpoint._replace(model=build_encoder(CONFIG))
    with pytest.raises(DataError, match="Only a pre-training model judges"):
        judge(encoder, [Pair("a", "the")])


def test_published_pairs(shared_data):
    for name, paradigms in (("blimp", 67), ("zhoblimp", 118)):
        pairs = read_pairs(shared_data(f"minimal_pairs/{name}/{name}.jsonl.xz"))
        assert len({pair.paradigm for pair in pairs}) == paradigms
