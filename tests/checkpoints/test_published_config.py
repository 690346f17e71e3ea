"""Configurations of other tools: what is understood, and what is refused by name."""

import pathlib

import pytest

from kbert import BertConfig
from kbert.checkpoints.published_config import (
    check_understood,
    check_values,
    published_fields,
    read_config,
)
from kbert.config import GOOGLE_ACTIVATIONS, HUGGINGFACE_ACTIVATIONS
from kbert.errors import DataError

FILE = pathlib.Path("config.json")


def test_there_and_back():
    config = BertConfig(9, hidden_dim=24, num_heads=3, dropout=0.2, layer_norm_epsilon=1e-7)
    fields = {**published_fields(config), "hidden_act": "gelu"}
    assert fields["hidden_size"] == 24 and "hidden_dim" not in fields
    assert read_config(FILE, fields, GOOGLE_ACTIVATIONS) == config


@pytest.mark.parametrize(
    ("activations", "expected"),
    [(GOOGLE_ACTIVATIONS, "gelu_tanh"), (HUGGINGFACE_ACTIVATIONS, "gelu_erf")],
)
def test_gelu_is_the_default_and_has_two_meanings(activations, expected):
    for fields in ({}, {"hidden_act": "gelu"}):
        config = read_config(FILE, {"vocab_size": 9, **fields}, activations)
        assert config.activation == expected


@pytest.mark.parametrize("name", ["silu", None, ["gelu"]])
def test_other_activations(name):
    with pytest.raises(DataError, match=r"config.json.*gelu_new.* as hidden_act. Received: "):
        read_config(FILE, {"vocab_size": 9, "hidden_act": name}, HUGGINGFACE_ACTIVATIONS)


def test_unknown_fields_are_refused_by_name():
    fields = {"a": 1, "off": False, "none": None, "empty": {}}
    check_understood(FILE, fields, {"a"})
    with pytest.raises(DataError, match="config.json must hold.*Received: a 1. Remove it"):
        check_understood(FILE, fields, ())


def test_values():
    check_values(FILE, {"a": None}, {"a": ("x", None), "b": (1,)})
    with pytest.raises(DataError, match="config.json must have 'x' or None as a. Received: 'y'"):
        check_values(FILE, {"a": "y"}, {"a": ("x", None)})
