"""Rotary positions in and out as transformers' RoFormer; its numbers: test_transformers_numbers."""

import dataclasses
import json

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from kbert import from_huggingface, to_huggingface
from kbert.checkpoints.directory import has_pooler
from kbert.checkpoints.weights import model_weights
from kbert.errors import DataError
from tests.checkpoints.huggingface.test_directory import change_config, rewrite
from tests.checkpoints.published_models import CONFIG, TASKS, assert_same, make

ROTARY = dataclasses.replace(CONFIG, position="rotary")


@pytest.mark.parametrize("name", ["tagging", "qa", "choice"])
def test_round_trip_of_a_task(tmp_path, name):
    before = make("task", ROTARY, task=TASKS[name])
    to_huggingface(tmp_path, before)
    assert_same(from_huggingface(tmp_path), before)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_round_trip_of_a_masked_lm(tmp_path, dtype):
    before = make("masked-lm", ROTARY)
    to_huggingface(tmp_path, before, dtype)
    after = from_huggingface(tmp_path)
    if dtype == "float32":
        assert_same(after, before)
    else:
        to_huggingface(tmp_path / "again", after, dtype)
        assert_same(from_huggingface(tmp_path / "again"), after)


def test_an_encoder_has_no_pooler_there(tmp_path):
    before = make("encoder", ROTARY)
    with pytest.warns(UserWarning, match="RoFormer has no place for the pooler: left out"):
        to_huggingface(tmp_path, before)
    after = from_huggingface(tmp_path)
    assert after.config == before.config and not has_pooler(after.model)
    theirs = model_weights(after.model)
    for name, weight in model_weights(before.model).items():
        if not name.startswith("pooler/"):
            np.testing.assert_array_equal(np.asarray(weight), np.asarray(theirs[name]), name)


def test_a_next_sentence_is_left_out(tmp_path):
    before = make("pretraining", ROTARY)
    with pytest.warns(UserWarning, match="no place for the pooler and the next-sentence head"):
        to_huggingface(tmp_path, before)
    after = from_huggingface(tmp_path)
    ours, theirs = model_weights(before.model), model_weights(after.model)
    left = ("pooler/", "next_sentence_head/")
    assert set(theirs) == {name for name in ours if not name.startswith(left)}
    for name, weight in theirs.items():
        np.testing.assert_array_equal(np.asarray(weight), np.asarray(ours[name]), name)


@pytest.mark.parametrize(
    ("kind", "changes", "said"),
    [
        ("task", {}, "no place for a classifier with a pooler"),
        ("masked-lm", {"norm_placement": "pre"}, "has no place for norm_placement pre"),
    ],
)
def test_what_roformer_has_no_place_for(tmp_path, kind, changes, said):
    with pytest.raises(DataError, match=said):
        to_huggingface(tmp_path / "x", make(kind, dataclasses.replace(ROTARY, **changes)))
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"architectures": ["RoFormerForSequenceClassification"]},
            "must name one of RoFormerModel",
        ),
        ({"architectures": "RoFormerModel"}, "must name one of RoFormerModel"),
        ({"architectures": ["Model"]}, "must name one of RoFormerModel"),
        ({"architectures": ["RoFormerModel"] * 2}, "must name one class in architectures"),
        ({"num_attention_heads": 8}, "must be even for rotary positions"),
        ({"max_position_embeddings": 2**31 - 1}, "embed_positions.weight must be of shape"),
        ({"rotary_value": True}, "must have False or None as rotary_value"),
        ({"summary_type": "last"}, "must have 'first' as summary_type"),
        ({"summary_activation": None}, "must have 'tanh' as summary_activation"),
        ({"embedding_size": 4}, "must have 8 or None as embedding_size"),
        ({"position_embedding_type": "relative_key"}, "as position_embedding_type"),
    ],
)
def test_a_config_that_is_no_bert_but_for_its_positions(tmp_path, fields, said):
    to_huggingface(tmp_path, make("task", ROTARY, task=TASKS["choice"]))
    change_config(tmp_path, **fields)
    with pytest.raises(DataError, match=said):
        from_huggingface(tmp_path)


WAVES = "roformer.encoder.embed_positions.weight"
QUERY = "roformer.encoder.layer.0.attention.self.query.weight"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda a: a | {WAVES: 2 * a[WAVES]}, f"{WAVES} must hold sines and cosines"),
        (lambda a: a | {WAVES: a[WAVES][:8]}, f"{WAVES} must be of shape"),
        (lambda a: a | {"embeddings.LayerNorm.bias": a[QUERY][0]}, "LayerNorm.bias twice"),
        (
            lambda a: a | {"roformer.embeddings.position_embeddings.weight": a[QUERY]},
            "must be of a RoFormer, which has no weight roformer.embeddings.position",
        ),
        (lambda a: a | {QUERY: a[QUERY][:4]}, "query.weight must be of shape"),
        (lambda a: a | {"roformer.other": a[QUERY]}, "bert.other is no weight of this model"),
    ],
)
def test_weights_that_do_not_fit(tmp_path, change, said):
    to_huggingface(tmp_path, make("masked-lm", ROTARY))
    rewrite(tmp_path, change)
    with pytest.raises(DataError, match=said):
        from_huggingface(tmp_path)


@pytest.mark.parametrize("name", ["RoFormerTokenizer", None])
def test_another_tokenizer_is_not_taken_for_berts(tmp_path, name):
    """Where none is named, transformers takes RoFormer's, which finds words first."""
    to_huggingface(tmp_path, make("masked-lm", ROTARY))
    file = tmp_path / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"tokenizer_class": name}))
    with pytest.raises(DataError, match="must name BertTokenizer or .* as tokenizer_class"):
        from_huggingface(tmp_path)


def test_bfloat16(tmp_path):
    before = make("masked-lm", dataclasses.replace(ROTARY, max_sequence_length=512))
    to_huggingface(tmp_path, before)
    rewrite(tmp_path, lambda a: {n: array.astype(ml_dtypes.bfloat16) for n, array in a.items()})
    theirs = model_weights(from_huggingface(tmp_path).model)
    for name, weight in model_weights(before.model).items():
        np.testing.assert_allclose(np.asarray(weight), np.asarray(theirs[name]), rtol=2**-8)


def test_how_many_positions_a_file_that_does_not_say_it_has(tmp_path):
    before = make("masked-lm", dataclasses.replace(ROTARY, max_sequence_length=1536))
    to_huggingface(tmp_path, before)
    file = tmp_path / "config.json"
    fields = json.loads(file.read_text())
    del fields["max_position_embeddings"]
    file.write_text(json.dumps(fields))
    assert from_huggingface(tmp_path).config.max_sequence_length == 1536


def test_a_file_without_the_angles(tmp_path):
    """They are no trained weight, and some files leave them out."""
    before = make("masked-lm", ROTARY)
    to_huggingface(tmp_path, before)
    assert WAVES in safetensors.numpy.load_file(tmp_path / "model.safetensors")
    rewrite(tmp_path, lambda a: {name: array for name, array in a.items() if name != WAVES})
    assert_same(from_huggingface(tmp_path), before)
