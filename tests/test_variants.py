"""Encoders that depart from BERT in fields of `Variants`, against the NumPy reference."""

import dataclasses

import numpy as np
import pytest

from kbert.checkpoints.google.release import to_google
from kbert.checkpoints.huggingface.directory import to_huggingface
from kbert.checkpoints.keras_hub import to_keras_hub
from kbert.errors import DataError
from kbert.models import build_encoder
from tests import reference_bert
from tests.checkpoints.published_models import CONFIG, make
from tests.layers.contract import numpy, outputs
from tests.reference_bert import encoder_inputs, random_inputs, randomized

VARIANTS = [("direction", "left")]
ENCODER_INPUTS = ("token_ids", "segment_ids", "padding_mask")
OUTPUTS = ("sequence_output", "pooled_output", "hidden_states", "attention_scores")
MASKS = [[1] * 8, [1] * 5 + [0] * 3, [1, 1, 1, 2, 2, 3, 3, 0], [0] * 8]


def encode(encoder, inputs):
    return outputs(encoder, {name: inputs[name] for name in ENCODER_INPUTS})


@pytest.mark.parametrize(("field", "value"), VARIANTS)
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


@pytest.mark.parametrize(("field", "value"), VARIANTS)
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


@pytest.mark.parametrize(("field", "value"), VARIANTS)
@pytest.mark.parametrize("write", [to_google, to_huggingface, to_keras_hub])
def test_other_formats_refuse_by_name(tmp_path, field, value, write):
    config = dataclasses.replace(CONFIG, **{field: value})
    with pytest.raises(DataError, match=f"has no place for {field} {value}"):
        write(tmp_path / "x", make("encoder", config))
    assert not (tmp_path / "x").exists()
