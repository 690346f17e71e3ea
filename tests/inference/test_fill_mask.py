"""Filling masks: a model forced to a known answer, several masks, what is refused."""

import json

import numpy as np
import pytest

from apps.cli import run_command
from kbert import build_encoder, save
from kbert.errors import DataError
from kbert.inference import fill_mask as module
from kbert.inference.fill_mask import FillMask, _filled_text, fill_mask
from kbert.text.vocabulary import SPECIAL_TOKENS
from tests.tiny_checkpoint import random_checkpoint

WORDS = "paris is the capital of france ##s london 今 天 气 很 好 .".split()
VOCABULARY = [*SPECIAL_TOKENS, *WORDS]


def tiny():
    return random_checkpoint(WORDS, pretraining=True, num_layers=2, max_sequence_length=16)


@pytest.fixture(scope="module")
def checkpoint():
    return tiny()


def forced(**scores):
    """A model whose scores are these, whatever the text: all other weights are zero."""
    checkpoint = tiny()
    for weight in checkpoint.model.weights:
        weight.assign(np.zeros(weight.shape))
    bias = np.full(len(VOCABULARY), -1e9)
    for piece, score in scores.items():
        bias[VOCABULARY.index(piece)] = score
    checkpoint.model.get_layer("masked_lm_bias").bias.assign(bias)
    return checkpoint


def test_a_known_answer():
    known = forced(capital=np.log(0.7), london=np.log(0.2), 今=np.log(0.1))
    (masks,) = fill_mask(known, ["Paris is the [MASK] of France."], top=2)
    assert len(masks) == 1
    first, second = masks[0]
    assert first == {
        "token": "capital",
        "score": pytest.approx(0.7, abs=1e-6),
        "text": "Paris is the capital of France.",
    }
    assert (second["token"], second["score"]) == ("london", pytest.approx(0.2, abs=1e-6))


def test_every_mask_has_the_scores_of_its_place(checkpoint, monkeypatch):
    monkeypatch.setattr(module, "BATCH_SIZE", 2)  # the third text is a batch of its own
    texts = ["[MASK] is the [MASK] .", "今天[MASK]气很好", "the [MASK] [MASK] [MASK]"]
    filled = fill_mask(checkpoint, texts, top=len(VOCABULARY))
    assert [len(masks) for masks in filled] == [2, 1, 3]
    for text, masks in zip(texts, filled, strict=True):
        inputs = checkpoint.tokenizer([text], special_tokens=True)
        inputs = {name: np.asarray(tensor) for name, tensor in inputs.items()}
        tokens = inputs["token_ids"][0]
        inputs["mask_positions"] = np.arange(len(tokens))[None]
        inputs["cls_positions"] = np.zeros((1, 1), "int32")
        logits = np.asarray(checkpoint.model(inputs)["masked_lm"])[0]
        exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
        expected = exponentials / exponentials.sum(axis=-1, keepdims=True)
        places = np.flatnonzero(tokens == VOCABULARY.index("[MASK]"))
        for place, candidates in zip(places, masks, strict=True):
            scores = {candidate["token"]: candidate["score"] for candidate in candidates}
            found = [scores[piece] for piece in VOCABULARY]
            np.testing.assert_allclose(found, expected[place], atol=1e-5)
            assert candidates == sorted(candidates, key=lambda c: -c["score"])


@pytest.mark.parametrize(
    ("text", "number", "piece", "expected"),
    [
        ("a [MASK] c", 0, "b", "a b c"),
        ("a [MASK] [MASK]", 1, "b", "a [MASK] b"),
        ("walk [MASK] now", 0, "##ing", "walking now"),
        ("今天[MASK]很好", 0, "气", "今天气很好"),
        ("a [MASK]", 0, "##", "a ##"),
    ],
)
def test_the_text_with_the_piece_in_it(text, number, piece, expected):
    assert _filled_text(text, number, piece) == expected


@pytest.mark.parametrize(
    ("text", "top", "expected"),
    [
        ("Paris is the capital.", 5, r"Expected a text with \[MASK\] in it. Received: 'Paris"),
        ("[mask]", 5, "Expected a text with"),
        ("", 5, "Expected a text with"),
        ("the " * 15 + "[MASK]", 5, r"takes 16 tokens; 1 of 1 \[MASK\] stand behind"),
        ("[MASK] " + "the " * 15 + "[MASK] [MASK]", 5, r"2 of 3 \[MASK\] stand behind"),
        ("[MASK]", 0, "Expected 1 to 19 pieces for a mask. Received: 0"),
        ("[MASK]", 20, "Expected 1 to 19 pieces"),
    ],
)
def test_what_is_refused(checkpoint, text, top, expected):
    with pytest.raises(DataError, match=expected):
        fill_mask(checkpoint, ["the [MASK]", text], top)


def test_a_request_has_few_masks():
    """Each has candidates with the whole text."""
    assert FillMask(512).parse("[MASK]" * 16, "here") == "[MASK]" * 16
    with pytest.raises(DataError, match=r"here: expected at most 16 \[MASK\]. Received: 17"):
        FillMask(512).parse("[MASK]" * 17, "here")


def test_an_encoder_fills_no_masks(checkpoint):
    encoder = checkpoint._replace(model=build_encoder(checkpoint.config))
    with pytest.raises(DataError, match="Only a masked LM fills masks"):
        fill_mask(encoder, ["[MASK]"])


def test_command(tmp_path, capsys):
    save(tmp_path, forced(capital=1.0, london=0.0))
    text = "Paris is the [MASK] of [MASK]."
    assert run_command("fill-mask", [str(tmp_path), text, "--top", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{text}  ([MASK] 1 of 2)"
    assert lines[1].split(None, 2) == ["0.7311", "capital", "Paris is the capital of [MASK]."]
    assert len(lines) == 6
    assert run_command("fill-mask", [str(tmp_path), text, "--top", "1", "--json"]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["mask"] for answer in answers] == [1, 2]
    assert answers[1]["candidates"][0]["text"] == "Paris is the [MASK] of capital."
    assert run_command("fill-mask", [str(tmp_path), "no mask"]) == 1
    assert "Expected a text with [MASK]" in capsys.readouterr().err
    assert run_command("fill-mask", [str(tmp_path / "none"), text]) == 1
    assert "There is no folder" in capsys.readouterr().err
