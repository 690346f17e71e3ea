"""Likelihoods and perplexities against one plain forward pass for each piece."""

import json

import keras
import numpy as np
import pytest

from apps.cli import run_command
from kbert import BertConfig, Checkpoint, WordPieceTokenizer, build_pretraining_model, save
from kbert.errors import DataError
from kbert.inference import likelihood
from kbert.inference.forward import Forward
from kbert.inference.likelihood import log_likelihoods, perplexity

WORDS = "the a cat cats sleep sleeps on mat .".split()
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
TEXTS = ["the cat sleeps .", "the cats", "", "a cat sleeps on a mat", "the cat sleep ."]


def checkpoint_of(objective, direction, architecture="transformer"):
    config = BertConfig(
        len(VOCABULARY),
        num_layers=1,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=16,
        max_sequence_length=8,
        direction=direction,
        architecture=architecture,
    )
    keras.utils.set_random_seed(3)
    model = build_pretraining_model(config, objective=objective)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.normal(scale=0.5, size=weight.shape))
    return Checkpoint(model, WordPieceTokenizer(VOCABULARY), config)


@pytest.fixture(scope="module")
def models():
    """Of both kinds; a masked LM with a sentence head, and masked LMs that are no Transformers."""
    others = ("bilstm", "cnn", "bag")
    return {
        "left-to-right": checkpoint_of("left-to-right", "left"),
        "masked-lm": checkpoint_of("masked-lm", "both"),
        "masked-lm-next-sentence": checkpoint_of("masked-lm-next-sentence", "both"),
        **{name: checkpoint_of("masked-lm-next-sentence", "both", name) for name in others},
    }


def by_hand(checkpoint, words):
    """log p of each word: one forward pass for it, and a softmax in NumPy."""
    ids = [2, *(VOCABULARY.index(word) if word in VOCABULARY else 1 for word in words), 3]
    found = []
    for place in range(1, len(ids) - 1):
        if "masked_lm" in checkpoint.model.output:
            row = [4 if i == place else piece for i, piece in enumerate(ids)]
        else:
            row = ids[:place]
        row = np.array([row])
        inputs = {
            "token_ids": row,
            "segment_ids": np.zeros_like(row),
            "padding_mask": np.ones_like(row),
            "mask_positions": np.array([[place]]),
            "cls_positions": np.array([[0]]),
        }
        inputs = {name: inputs[name] for name in checkpoint.model.input}
        outputs = checkpoint.model(inputs, training=False)
        logits = outputs.get("masked_lm", outputs.get("next_token"))
        logits = np.asarray(logits, "float64")[0, -1]
        found.append(logits[ids[place]] - np.log(np.exp(logits).sum()))
    return found


@pytest.mark.parametrize(
    "name",
    ["left-to-right", "masked-lm", "masked-lm-next-sentence", "bilstm", "cnn", "bag"],
)
def test_scores_are_those_of_one_pass_a_token(models, name, monkeypatch):
    few = dict.fromkeys(("masked_lm", "next_token"), 12)
    monkeypatch.setattr(likelihood, "_MOST_TOKENS", few)  # Several batches.
    monkeypatch.setattr(likelihood, "_MOST_IDS", 40)  # Of several groups of a length.
    found = log_likelihoods(models[name], TEXTS)
    assert found[2] == 0
    expected = [sum(by_hand(models[name], text.split())) for text in TEXTS]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_texts_that_differ_in_one_piece_share_its_row(models, monkeypatch):
    rows, forward_of = [], likelihood.forward_of

    def counted(model):
        forward = forward_of(model)

        def run(inputs):
            rows.extend(map(tuple, inputs["token_ids"]))
            return forward.run(inputs)

        return Forward(run)

    monkeypatch.setattr(likelihood, "forward_of", counted)
    texts = ["the cat sleeps .", "the cat sleep .", "the cat sleeps ."]
    found = log_likelihoods(models["masked-lm"], texts)
    assert len(rows) == len(set(rows)) == 4 + 3
    expected = [sum(by_hand(models["masked-lm"], text.split())) for text in texts]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["left-to-right", "masked-lm"])
def test_perplexity_counts_every_known_piece_once(models, name):
    """The last text is cut into parts of 6, 6 and 1 pieces; a dog is unknown."""
    texts = [*TEXTS, "a dog sleeps on the mat " * 2 + "."]
    found = perplexity(models[name], texts)
    scores = []
    for text in texts:
        words = text.split()
        for part in (words[at : at + 6] for at in range(0, len(words), 6)):
            each = by_hand(models[name], part)
            scores += [s for s, word in zip(each, part, strict=True) if word in VOCABULARY]
    assert found == {
        "measure": "perplexity" if name == "left-to-right" else "pseudo-perplexity",
        "value": pytest.approx(np.exp(-np.mean(scores)), rel=1e-4),
        "loss": pytest.approx(-np.mean(scores), abs=1e-5),
        "pieces": len(scores),
        "unknown": 2,
        "texts": 6,
    }


def test_a_text_is_cut_as_is_said(models):
    checkpoint, words = models["left-to-right"], "the cat sleeps on the mat".split()
    parts = [" ".join(words[at : at + 3]) for at in (0, 3)]
    expected = perplexity(checkpoint, parts)
    found = perplexity(checkpoint, [" ".join(words)], sequence_length=5)
    assert found == expected | {"texts": 1}
    assert found["loss"] != perplexity(checkpoint, [" ".join(words)])["loss"]
    with pytest.raises(DataError, match="sequence_length must be 3 to 8. Received: 9."):
        perplexity(checkpoint, parts, sequence_length=9)


def test_texts_without_a_piece_have_none(models):
    with pytest.raises(DataError, match="no piece of the vocabulary"):
        perplexity(models["masked-lm"], ["", "zebra"])


def test_command(models, tmp_path, capsys):
    save(tmp_path / "model", models["left-to-right"])
    (tmp_path / "texts.txt").write_text("the cat sleeps\nthe zebra\n")
    output = tmp_path / "scores.json"
    arguments = [str(tmp_path / "model"), str(tmp_path / "texts.txt"), f"--output={output}"]
    assert run_command("perplexity", arguments) == 0
    found = json.loads(output.read_text())
    said = capsys.readouterr().out
    assert said.startswith(f"perplexity {found['value']:.2f}: {found['loss']:.4f} nats a piece, ")
    assert "4 pieces of 2 texts, 1 [UNK] left out" in said
