"""keras-hub presets: the same outputs from the same weights, and round trips without a change."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from kbert import from_keras_hub, to_keras_hub
from kbert.errors import DataError
from tests import reference_bert
from tests.checkpoints.published_models import CONFIG, assert_same, make
from tests.layers.contract import numpy

keras_hub = pytest.importorskip("keras_hub")


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("preset") / "bert"
    to_keras_hub(folder, make("encoder"))
    return folder


def test_keras_hub_computes_the_same(preset):
    ours = make("encoder")
    theirs = keras_hub.models.BertBackbone.from_preset(str(preset))
    inputs = reference_bert.random_inputs(
        np.random.default_rng(0), CONFIG, [[1] * 9, [1] * 6 + [0] * 3]
    )
    inputs = {name: inputs[name] for name in ("token_ids", "segment_ids", "padding_mask")}
    expected, found = theirs(inputs), ours.model(inputs)
    is_token = inputs["padding_mask"] > 0
    for name in ("sequence_output", "pooled_output"):
        first, second = numpy(found[name]), numpy(expected[name])
        if name == "sequence_output":
            first, second = first[is_token], second[is_token]
        np.testing.assert_allclose(first, second, atol=2e-5)


def test_keras_hub_reads_our_tokenizer(preset):
    theirs = keras_hub.models.BertTokenizer.from_preset(str(preset))
    assert theirs.get_vocabulary() == make("encoder").tokenizer.vocabulary


def test_round_trip(preset):
    assert_same(from_keras_hub(preset), make("encoder"))


def test_a_preset_that_keras_hub_made(tmp_path):
    config = dataclasses.replace(CONFIG, dropout=0.2, attention_dropout=0.2)
    expected = make("encoder", config, seed=3)
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=40,
        num_layers=2,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=16,
        max_sequence_length=16,
        dropout=0.2,
    )
    backbone.save_to_preset(str(tmp_path))
    pieces = expected.tokenizer.vocabulary
    tokenizer = keras_hub.models.BertTokenizer(pieces, lowercase=False)
    tokenizer.save_to_preset(str(tmp_path))
    found = from_keras_hub(tmp_path)
    assert found.config == config
    assert found.tokenizer.options == {
        "lowercase": False,
        "strip_accents": None,
        "split_chinese": True,
    }
    table = next(w for w in backbone.weights if w.path == "token_embedding/embeddings")
    weights = {weight.path: weight for weight in found.model.weights}
    np.testing.assert_array_equal(numpy(weights["embedding/token_table"]), numpy(table))


@pytest.mark.parametrize(
    ("kind", "changes", "said"),
    [
        ("pretraining", {}, "no place for pre-training heads"),
        ("task", {}, "task classification"),
        ("encoder", {"activation": "gelu_erf"}, "tanh-GELU, not gelu_erf"),
        ("encoder", {"layer_norm_epsilon": 1e-7}, "epsilon of 1e-12"),
        ("encoder", {"dropout": 0.2}, "one dropout"),
    ],
)
def test_what_a_preset_cannot_hold(tmp_path, kind, changes, said):
    with pytest.raises(DataError, match=said):
        to_keras_hub(tmp_path / "x", make(kind, dataclasses.replace(CONFIG, **changes)))
    assert not any(tmp_path.iterdir())


def test_a_preset_of_another_model(tmp_path):
    config = {"class_name": "GPT2Backbone", "config": {}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(DataError, match="BertBackbone. Received: 'GPT2Backbone'"):
        from_keras_hub(tmp_path)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("config.json", {"position_type": "rotary"}),
        ("tokenizer.json", {"suffix_indicator": "@@"}),
        ("tokenizer.json", {"split": False}),
        ("tokenizer.json", {"split_on_cjk": False}),
    ],
)
def test_what_is_not_understood_is_refused_by_name(preset, tmp_path, name, fields):
    shutil.copytree(preset, tmp_path / "bert")
    described = json.loads((preset / name).read_text())
    described["config"] |= fields
    (tmp_path / "bert" / name).write_text(json.dumps(described))
    with pytest.raises(DataError, match=f"{name}.*{next(iter(fields))}"):
        from_keras_hub(tmp_path / "bert")
