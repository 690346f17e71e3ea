"""Encoders of other kinds: a Transformer's inputs and outputs, and their reference's numbers."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kbert.config import ARCHITECTURES, DIRECTIONS, BertConfig
from kbert.models import build_encoder, build_pretraining_model
from tests import reference_encoders
from tests.layers.contract import numpy, outputs
from tests.reference_bert import encoder_inputs, random_inputs, randomized

CONFIG = BertConfig(
    40, num_layers=2, num_heads=2, hidden_dim=8, intermediate_dim=16, max_sequence_length=16
)
MASKS = [[1] * 8, [1] * 5 + [0] * 3, [1, 1, 1, 2, 2, 3, 3, 0]]
OTHERS = ARCHITECTURES[1:]
NAMES = ("token_ids", "segment_ids", "padding_mask")


@st.composite
def configs(draw):
    architecture = draw(st.sampled_from(OTHERS))
    directions = DIRECTIONS if architecture == "bilstm" else ("both", "left")
    return dataclasses.replace(
        CONFIG,
        num_layers=draw(st.integers(1, 2)),
        architecture=architecture,
        direction=draw(st.sampled_from(directions)),
        activation=draw(st.sampled_from(["gelu_tanh", "relu"])),
    )


@settings(max_examples=3 if keras.backend.backend() == "jax" else 8)
@given(configs())
def test_equals_the_reference(config):
    assert BertConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    encoder = build_encoder(config)
    weights = randomized(encoder)
    assert encoder.count_params() == config.num_parameters()
    inputs = random_inputs(np.random.default_rng(0), config, MASKS)
    expected = reference_encoders.encode(weights, config, *encoder_inputs(inputs))
    real = inputs["padding_mask"] != 0
    inputs["token_ids"][~real] = 7  # What stands in the padding changes nothing.
    result = outputs(encoder, {name: inputs[name] for name in NAMES})
    sequences = numpy(result["sequence_output"])
    np.testing.assert_allclose(sequences[real], expected["sequence_output"][real], atol=1e-4)
    np.testing.assert_allclose(numpy(result["pooled_output"]), expected["pooled_output"], atol=1e-4)
    assert np.isfinite(sequences).all()


@pytest.mark.parametrize("architecture", OTHERS)
def test_packed_rows_give_what_each_sequence_gives_alone(architecture):
    """The pooled vectors of all, too, by what next sentence is told from."""
    model = build_pretraining_model(dataclasses.replace(CONFIG, architecture=architecture))
    randomized(model)
    packed = random_inputs(np.random.default_rng(1), CONFIG, [[1] * 4 + [2] * 5 + [0] * 3])
    packed["cls_positions"] = np.array([[0, 4]], "int32")
    together = numpy(outputs(model, packed)["next_sentence"])[0]
    for number, part in enumerate((slice(0, 4), slice(4, 9))):
        alone = {name: packed[name][:, part] for name in NAMES[:2]}
        alone["padding_mask"] = np.ones_like(alone["token_ids"])
        alone["mask_positions"] = alone["cls_positions"] = np.zeros((1, 1), "int32")
        separate = numpy(outputs(model, alone)["next_sentence"])[0, 0]
        np.testing.assert_allclose(together[number], separate, atol=1e-5)


def test_only_a_bag_knows_no_order():
    found = {}
    for architecture in OTHERS:
        encoder = build_encoder(dataclasses.replace(CONFIG, architecture=architecture))
        randomized(encoder)
        rows = np.array([[1, 2, 3, 4, 5, 6], [1, 4, 2, 6, 3, 5]])
        inputs = dict(zip(NAMES, (rows, np.zeros_like(rows), np.ones_like(rows)), strict=True))
        first, other = numpy(outputs(encoder, inputs)["pooled_output"])
        found[architecture] = np.allclose(first, other, atol=1e-5)
    assert found == {"bilstm": False, "cnn": False, "bag": True}


@pytest.mark.parametrize("architecture", OTHERS)
def test_there_is_no_attention_to_show(architecture):
    with pytest.raises(ValueError, match=f"A {architecture} encoder has no attention_scores"):
        build_encoder(dataclasses.replace(CONFIG, architecture=architecture), ("attention_scores",))
