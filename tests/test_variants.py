"""Encoders that depart from BERT in fields of `Variants`, against the NumPy reference."""

import dataclasses
import itertools
import json

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kbert.config import (
    ACTIVATIONS,
    ATTENTION_SCORES,
    POSITION_PLACES,
    POSITIONS,
    BertConfig,
)
from kbert.models import build_encoder
from tests import reference_bert
from tests.layers.contract import numpy, outputs
from tests.reference_bert import encoder_inputs, random_inputs, randomized

VARIANTS = [
    ("direction", "left"),
    ("attention_score", "dot"),
    ("attention_score", "multiplicative"),
    ("attention_score", "additive"),
    ("norm_placement", "pre"),
    ("norm_placement", "nnu,wb"),
    ("norm_placement", "ba,wn"),
    ("position", "sinusoidal"),
    ("position", "rotary"),
    ("position", "none"),
    ("position_at", "every_layer"),
    ("activation", "geglu"),
]
# Two shapes each: too many to compile again.
if keras.backend.backend() == "jax":
    VARIANTS = []
ONE_BY_ONE = pytest.mark.parametrize(("field", "value"), VARIANTS)
CONFIG = BertConfig(
    40, num_layers=2, num_heads=2, hidden_dim=8, intermediate_dim=16, max_sequence_length=16
)
ENCODER_INPUTS = ("token_ids", "segment_ids", "padding_mask")
OUTPUTS = ("sequence_output", "pooled_output", "hidden_states", "attention_scores")
MASKS = [[1] * 8, [1] * 5 + [0] * 3, [1, 1, 1, 2, 2, 3, 3, 0], [0] * 8]


def encode(encoder, inputs):
    return outputs(encoder, {name: inputs[name] for name in ENCODER_INPUTS})


@ONE_BY_ONE
def test_equals_the_reference(field, value):
    config = dataclasses.replace(CONFIG, **{field: value})
    encoder = build_encoder(config, OUTPUTS)
    weights = randomized(encoder)
    inputs = random_inputs(np.random.default_rng(0), config, MASKS)
    results = encode(encoder, inputs)
    expected = reference_bert.encode(weights, config, *encoder_inputs(inputs))
    np.testing.assert_allclose(results["pooled_output"], expected["pooled_output"], atol=2e-5)
    for name in ("hidden_states", "attention_scores"):
        for result, layer in zip(results[name], expected[name], strict=True):
            np.testing.assert_allclose(numpy(result), layer, atol=2e-5)


@ONE_BY_ONE
def test_packed_rows_and_padding(field, value):
    """Two sequences in one row give what each gives alone."""
    encoder = build_encoder(dataclasses.replace(CONFIG, **{field: value}), ("sequence_output",))
    randomized(encoder)
    inputs = random_inputs(np.random.default_rng(1), CONFIG, [[1] * 4 + [2] * 5 + [0] * 3])
    together = numpy(encode(encoder, inputs)["sequence_output"])
    for part in (slice(0, 4), slice(4, 9)):
        alone = {name: inputs[name][:, part] for name in ENCODER_INPUTS}
        alone["padding_mask"] = np.ones_like(alone["padding_mask"])
        separate = numpy(encode(encoder, alone)["sequence_output"])
        np.testing.assert_allclose(together[:, part], separate, atol=2e-5)


@st.composite
def configs(draw):
    """Any product of the fields' values, of one or two blocks."""
    num_layers = draw(st.integers(1, 2))
    code = st.text("abwn", min_size=2, max_size=2)
    placement = st.sampled_from(["post", "pre"]) | code
    placement |= st.lists(code, min_size=num_layers, max_size=num_layers).map(",".join)
    position, place = draw(st.sampled_from(list(itertools.product(POSITIONS, POSITION_PLACES))))
    if position in ("rotary", "none"):
        place = "embedding"
    return dataclasses.replace(
        CONFIG,
        num_layers=num_layers,
        position=position,
        position_at=place,
        dropout=0.0,
        attention_dropout=0.0,
        attention_score=draw(st.sampled_from(ATTENTION_SCORES)),
        direction=draw(st.sampled_from(["both", "left"])),
        activation=draw(st.sampled_from(ACTIVATIONS)),
        norm_placement=draw(placement),
    )


@settings(max_examples=4 if keras.backend.backend() == "jax" else 15)
@given(configs())
def test_every_product_of_the_fields(config):
    """Equal to the reference, whatever stands in the padding; read back as it was written; and
    every weight learns by a finite gradient."""
    assert BertConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    encoder = build_encoder(config, ("sequence_output",))
    weights = randomized(encoder)
    inputs = random_inputs(np.random.default_rng(2), config, MASKS)
    expected = reference_bert.encode(weights, config, *encoder_inputs(inputs), pooled=False)
    padded = inputs["padding_mask"] == 0
    inputs["token_ids"][padded] = (inputs["token_ids"][padded] + 7) % config.vocabulary_size
    result = numpy(encode(encoder, inputs)["sequence_output"])
    np.testing.assert_allclose(result[~padded], expected["sequence_output"][~padded], atol=1e-4)
    assert np.isfinite(result).all()
    _check_gradients(encoder, inputs, result.shape)


def _check_gradients(encoder, inputs, shape):
    eager = keras.backend.backend() != "jax"  # where each operation would be compiled
    encoder.compile(keras.optimizers.SGD(1e-2), {"sequence_output": "mse"}, run_eagerly=eager)
    target = np.random.default_rng(3).normal(size=shape)
    before = {weight.path: numpy(weight).copy() for weight in encoder.trainable_weights}
    names = ("token_ids", "segment_ids", "padding_mask")
    encoder.train_on_batch({name: inputs[name] for name in names}, {"sequence_output": target})
    for weight in encoder.trainable_weights:
        assert np.isfinite(numpy(weight)).all(), weight.path
        assert not np.array_equal(numpy(weight), before[weight.path]), weight.path
