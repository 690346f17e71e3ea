"""BertConfig: published sizes and counts, other people's field names, what is refused."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbert.config import PRESETS, BertConfig, Variants
from kbert.errors import DataError

# Published: arXiv 1810.04805 and 1908.08962, counted exactly with pooler and without heads.
COUNTS = {
    ("tiny", 30_522): 4_385_920,
    ("small", 30_522): 28_763_648,
    ("medium", 30_522): 41_373_184,
    ("base", 30_522): 109_482_240,
    ("large", 30_522): 335_141_888,
    ("base", 21_128): 102_267_648,
}
GOOGLE = {
    "attention_probs_dropout_prob": 0.2,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.3,
    "hidden_size": 64,
    "initializer_range": 0.01,
    "intermediate_size": 128,
    "max_position_embeddings": 99,
    "num_attention_heads": 4,
    "num_hidden_layers": 3,
    "type_vocab_size": 5,
    "vocab_size": 77,
}
SAME = BertConfig(
    77,
    num_layers=3,
    num_heads=4,
    hidden_dim=64,
    intermediate_dim=128,
    max_sequence_length=99,
    num_segments=5,
    dropout=0.3,
    attention_dropout=0.2,
    initializer_stddev=0.01,
)


@pytest.mark.parametrize(("preset", "vocabulary_size"), COUNTS)
def test_preset_counts_are_the_published_ones(preset, vocabulary_size):
    config = BertConfig.preset(preset, vocabulary_size)
    assert config.num_parameters() == COUNTS[preset, vocabulary_size]


def test_presets():
    sizes = {name: BertConfig.preset(name, 100) for name in PRESETS}
    assert [(c.num_layers, c.hidden_dim, c.num_heads) for c in sizes.values()] == [
        (2, 128, 2),
        (4, 256, 4),
        (4, 512, 8),
        (8, 512, 8),
        (12, 768, 12),
        (24, 1024, 16),
    ]
    assert all(c.intermediate_dim == 4 * c.hidden_dim for c in sizes.values())
    assert sizes["base"] == BertConfig(100)
    assert BertConfig.preset("tiny", 100, dropout=0.0, num_heads=4).num_heads == 4


@pytest.mark.parametrize(
    ("preset", "estimate"),
    [("base", 108_375_552), ("tiny", 4_300_032)],  # 30,522 H + 12 L H^2 by hand
)
def test_formula(preset, estimate):
    config = BertConfig.preset(preset, 30_522)
    assert config.parameters_by_formula() == estimate
    assert config.num_parameters() == pytest.approx(estimate, rel=0.03)


def test_defaults_are_the_papers():
    config = BertConfig(30_522)
    assert (config.dropout, config.attention_dropout) == (0.1, 0.1)
    assert (config.layer_norm_epsilon, config.initializer_stddev) == (1e-12, 0.02)
    assert (config.max_sequence_length, config.num_segments) == (512, 2)
    assert config.activation == "gelu_tanh"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_dim": 10, "num_heads": 3}, "hidden_dim=10, num_heads=3"),
        ({"num_layers": 0}, "`num_layers` must be a positive integer below 2.31. Received: 0"),
        ({"num_layers": 2.0}, "`num_layers` must be a positive integer below 2.31. Received: 2.0"),
        ({"num_heads": True}, "`num_heads` must be a positive integer .*Received: True"),
        ({"vocabulary_size": -5}, "`vocabulary_size`"),
        ({"max_sequence_length": "512"}, "`max_sequence_length`"),
        ({"dropout": 1.0}, "`dropout` must be below 1. Received: 1.0"),
        ({"hidden_dim": 2**31}, "`hidden_dim` must be .*Received: 2147483648"),
        ({"attention_dropout": -0.1}, "`attention_dropout` must be a number from 0 to 1"),
        ({"initializer_stddev": 10**400}, "`initializer_stddev` must be a number from 0 to 1"),
        ({"layer_norm_epsilon": True}, "`layer_norm_epsilon` must be .*Received: True"),
        ({"layer_norm_epsilon": float("nan")}, "`layer_norm_epsilon`"),
        ({"activation": "swish"}, "`activation` must be one of .*'swish'"),
        ({"norm_placement": "ax"}, "`norm_placement` must be post, pre, or two .*'ax' for 12"),
        ({"norm_placement": "aa,bb"}, "for each. Received: 'aa,bb' for 12 blocks"),
        ({"norm_placement": ["aa"]}, "`norm_placement` must be"),
        ({"norm_placement": "aau", "attention_score": "dot"}, "u for blocks .*='dot'"),
        ({"position": "absolute"}, "`position` must be one of .*'rotary'.*'absolute'"),
        ({"position": "none", "position_at": "every_layer"}, "`position_at` must be embedding"),
        ({"position": "rotary", "hidden_dim": 36}, "even for rotary positions. Received: 36 / 12"),
        ({"architecture": "cnn", "position": "none"}, "position can be of a Transformer only"),
        ({"architecture": "bag", "activation": "geglu"}, "activation geglu can be of .*'bag'"),
        ({"architecture": "bilstm", "hidden_dim": 9, "num_heads": 3}, "even for LSTMs .*: 9"),
        ({"direction": "right"}, "`direction` must be one of .*'left'.*'right'"),
    ],
)
def test_impossible_values_are_refused_with_the_numbers(changes, message):
    with pytest.raises(ValueError, match=message):
        BertConfig(**{"vocabulary_size": 10, **changes})


def test_unknown_preset():
    with pytest.raises(ValueError, match="'tiny'.*Received: 'huge'"):
        BertConfig.preset("huge", 10)


def test_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        BertConfig(10).dropout = 0.5


def test_reads_googles_fields():
    assert BertConfig.from_dict(GOOGLE) == SAME


def test_reads_hugging_faces_fields():
    """There `gelu` is the form with erf, and the epsilon has a field."""
    fields = {
        **GOOGLE,
        "model_type": "bert",
        "architectures": ["BertForMaskedLM"],
        "layer_norm_eps": 1e-7,
        "pad_token_id": 0,
        "position_embedding_type": "absolute",
    }
    expected = dataclasses.replace(SAME, activation="gelu_erf", layer_norm_epsilon=1e-7)
    assert BertConfig.from_dict(fields) == expected


@pytest.mark.parametrize(
    ("name", "activation"), [("gelu_new", "gelu_tanh"), ("relu", "relu"), ("gelu", "gelu_tanh")]
)
def test_activation_names(name, activation):
    assert BertConfig.from_dict({"vocab_size": 9, "hidden_act": name}).activation == activation


def test_unknown_activation_and_missing_vocabulary():
    with pytest.raises(ValueError, match="`hidden_act` must be one of .*'silu'"):
        BertConfig.from_dict({"vocab_size": 9, "hidden_act": "silu"})
    with pytest.raises(ValueError, match=r"`vocabulary_size` \(or `vocab_size`\).*hidden_size"):
        BertConfig.from_dict({"hidden_size": 8})
    for name, value in (("model_type", "roformer"), ("position_embedding_type", "relative_key")):
        with pytest.raises(ValueError, match=f"`{name}` must be .* Received: '{value}'"):
            BertConfig.from_dict({"vocab_size": 9, "hidden_size": 8, name: value})


def test_the_last_block_is_normalised():
    """Its sum may be left as it is only where another block follows."""
    sizes = {"num_layers": 3, "num_heads": 2, "hidden_dim": 8}
    for given_code, expected in {
        "post": ["aa", "aa", "aa"],
        "pre": ["bb", "bb", "bw"],
        "wn": ["wn", "wn", "wa"],
        "nn,ab,nb": ["nn", "ab", "nw"],
    }.items():
        config = BertConfig(9, norm_placement=given_code, **sizes)
        assert list(config.block_variants()) == [(code, "scaled_dot") for code in expected]
    for name, code in {"post": "aa", "pre": "bb"}.items():
        assert BertConfig(9, norm_placement=code) == BertConfig(9, norm_placement=name)
    config = BertConfig(9, norm_placement="bbu,bb,bbu", **sizes)
    expected = [("bb", "dot"), ("bb", "scaled_dot"), ("bw", "dot")]
    assert list(config.block_variants()) == expected


@given(
    heads=st.integers(1, 4),
    width=st.integers(1, 8),
    dropout=st.floats(0, 0.99),
    epsilon=st.floats(0, 1),
)
def test_json_round_trip(heads, width, dropout, epsilon):
    config = BertConfig(
        10, num_heads=heads, hidden_dim=heads * width, dropout=dropout, layer_norm_epsilon=epsilon
    )
    assert BertConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_variants_are_written_where_they_depart_from_bert():
    """So the config.json of BERT is what it was, and older ones are read."""
    assert {field.name for field in dataclasses.fields(Variants)}.isdisjoint(SAME.to_dict())
    config = dataclasses.replace(SAME, direction="left")
    assert config.to_dict() == {**SAME.to_dict(), "direction": "left"}
    assert BertConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize("content", ["{", "[1]", '"x"', "{}", '{"vocab_size": "many"}'])
def test_a_wrong_file_is_named(tmp_path, content):
    file = tmp_path / "bert_config.json"
    file.write_text(content)
    with pytest.raises(DataError, match="bert_config.json (is not a BERT configuration|must)"):
        BertConfig.from_json(file)


def test_reads_a_file(tmp_path):
    file = tmp_path / "bert_config.json"
    file.write_text(json.dumps(GOOGLE))
    assert BertConfig.from_json(file) == SAME
