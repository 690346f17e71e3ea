"""Checkpoints of every objective: they say which it is, and go where their heads have a place."""

import json

import numpy as np
import pytest

from kbert import fill_mask, from_google, from_huggingface, load, save, to_google, to_huggingface
from kbert.checkpoints.directory import encoder_of, load_objective
from kbert.checkpoints.inspection import inspect_checkpoint
from kbert.checkpoints.keras_hub import to_keras_hub
from kbert.errors import DataError
from kbert.models import BERT_OBJECTIVE, OBJECTIVE_HEADS
from tests.checkpoints.published_models import assert_same, make


@pytest.mark.parametrize("objective", OBJECTIVE_HEADS)
def test_a_checkpoint_says_its_objective(tmp_path, objective):
    before = make(objective)
    save(tmp_path, before)
    assert_same(load(tmp_path), before)
    assert load_objective(tmp_path) == objective
    assert inspect_checkpoint(tmp_path).settings["pre-training"] == {"objective": objective}
    encoder = encoder_of(before)
    weights = {weight.path: np.asarray(weight) for weight in before.model.weights}
    for weight in encoder.weights:
        if weight.path in weights:
            np.testing.assert_array_equal(np.asarray(weight), weights[weight.path])
        else:
            assert weight.path.startswith("pooler/") and "pooler" not in " ".join(weights)


def change(folder, **fields):
    """config.json with other values, without its checksums; None takes a name away."""
    file = folder / "config.json"
    values = json.loads(file.read_text()) | fields | {"checksums": None}
    file.write_text(json.dumps({name: v for name, v in values.items() if v is not None}))


def test_a_checkpoint_that_does_not_say_it_is_of_berts(tmp_path):
    save(tmp_path, make(BERT_OBJECTIVE))
    change(tmp_path, objective=None)
    assert load_objective(tmp_path) == BERT_OBJECTIVE
    assert_same(load(tmp_path), make(BERT_OBJECTIVE))


@pytest.mark.parametrize("objective", ["electra", 5])
def test_an_unknown_objective_is_named(tmp_path, objective):
    save(tmp_path, make(BERT_OBJECTIVE))
    change(tmp_path, objective=objective)
    with pytest.raises(DataError, match=f"config.json must name one of .*Received: {objective!r}"):
        load(tmp_path)


def test_a_masked_lm_alone_is_transformers_bert_for_masked_lm(tmp_path):
    before = make("masked-lm")
    to_huggingface(tmp_path, before)
    assert json.loads((tmp_path / "config.json").read_text())["architectures"] == [
        "BertForMaskedLM"
    ]
    assert_same(from_huggingface(tmp_path), before)
    assert inspect_checkpoint(tmp_path).settings["pre-training"] == {"objective": "masked-lm"}
    with pytest.warns(UserWarning, match="no next_sentence_head, pooler: newly initialised"):
        whole = from_huggingface(tmp_path, allow_missing_heads=True)
    assert set(whole.model.output) == set(OBJECTIVE_HEADS[BERT_OBJECTIVE])


def test_a_masked_lm_alone_in_googles_format(tmp_path):
    before = make("masked-lm")
    to_google(tmp_path, before)
    assert_same(from_google(tmp_path), before)


@pytest.mark.parametrize("objective", ["masked-lm-sentence-order", "left-to-right"])
def test_what_other_formats_have_no_place_for(tmp_path, objective):
    with pytest.raises(DataError, match=f"no BERT for the objective {objective}"):
        to_huggingface(tmp_path / "huggingface", make(objective))
    with pytest.raises(DataError, match="no place for pre-training heads"):
        to_keras_hub(tmp_path / "keras-hub", make(objective))
    with pytest.raises(DataError, match=f"Google's format has no place .* {objective}"):
        to_google(tmp_path / "google", make(objective))
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("objective", OBJECTIVE_HEADS)
def test_whoever_hides_words_fills_masks(objective):
    checkpoint = make(objective)
    if "masked_lm" in checkpoint.model.output:
        assert len(fill_mask(checkpoint, ["a1 [MASK] a2"], top=3)[0][0]) == 3
    else:
        with pytest.raises(DataError, match="Only a masked LM fills masks"):
            fill_mask(checkpoint, ["a1 [MASK]"])
