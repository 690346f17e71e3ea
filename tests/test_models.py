"""The models against the NumPy reference and keras-hub's BERT, and what Keras asks of them."""

import dataclasses

import keras
import numpy as np
import pytest

from kbert.config import ACTIVATIONS, BertConfig
from kbert.models import build_encoder, build_pretraining_model, pooled_alone
from tests import reference_bert
from tests.layers.contract import dtype_of, numpy, outputs
from tests.reference_bert import encoder_inputs, random_inputs, randomized

ALL_OUTPUTS = ("sequence_output", "pooled_output", "hidden_states", "attention_scores")
MASKS = [[1] * 8, [1] * 5 + [0] * 3, [1, 1, 1, 2, 2, 3, 3, 0], [0] * 8]


def assert_close(result, expected):
    np.testing.assert_allclose(numpy(result), expected, atol=1e-5)


def only(inputs, *names):
    return {name: inputs[name] for name in names or ("token_ids", "segment_ids", "padding_mask")}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_all_outputs_equal_the_reference(tiny_config, activation):
    config = dataclasses.replace(tiny_config, activation=activation)
    encoder = build_encoder(config, ALL_OUTPUTS)
    weights = randomized(encoder)
    inputs = random_inputs(np.random.default_rng(0), config, MASKS)
    results = outputs(encoder, only(inputs))
    expected = reference_bert.encode(weights, config, *encoder_inputs(inputs))
    assert set(results) == set(ALL_OUTPUTS)
    assert_close(results["sequence_output"], expected["sequence_output"])
    assert_close(results["pooled_output"], expected["pooled_output"])
    assert len(results["hidden_states"]) == config.num_layers + 1
    assert len(results["attention_scores"]) == config.num_layers
    for name in ("hidden_states", "attention_scores"):
        for result, layer in zip(results[name], expected[name], strict=True):
            assert_close(result, layer)


def test_pretraining_logits_equal_the_reference(tiny_config):
    model = build_pretraining_model(tiny_config)
    weights = randomized(model)
    inputs = random_inputs(np.random.default_rng(1), tiny_config, MASKS)
    results = outputs(model, inputs)
    expected = reference_bert.pretrain_logits(weights, tiny_config, inputs)
    for name in ("masked_lm", "next_sentence"):
        assert_close(results[name], expected[name])


def test_packed_row_equals_separate_rows(tiny_config):
    """Three sequences in one row give what each gives alone, the pooler's and the heads' too."""
    model = build_pretraining_model(tiny_config)
    randomized(model)
    rng = np.random.default_rng(2)
    lengths = (3, 6, 4)
    packed = random_inputs(rng, tiny_config, [[1] * 3 + [2] * 6 + [3] * 4 + [0] * 3])
    packed["mask_positions"] = np.array([[1, 4, 8, 11]], "int32")
    packed["cls_positions"] = np.array([[0, 3, 9]], "int32")
    together = outputs(model, packed)
    first = 0
    for number, length in enumerate(lengths):
        part = slice(first, first + length)
        alone = {name: packed[name][:, part] for name in ("token_ids", "segment_ids")}
        slots = [
            s for s, p in enumerate(packed["mask_positions"][0]) if part.start <= p < part.stop
        ]
        alone |= {
            "padding_mask": np.ones((1, length), "int32"),
            "mask_positions": packed["mask_positions"][:, slots] - first,
            "cls_positions": np.zeros((1, 1), "int32"),
        }
        separate = outputs(model, alone)
        assert_close(numpy(together["masked_lm"])[:, slots], numpy(separate["masked_lm"]))
        assert_close(
            numpy(together["next_sentence"])[:, number], numpy(separate["next_sentence"])[:, 0]
        )
        first += length


def test_padding_does_not_matter(tiny_config):
    encoder = build_encoder(tiny_config)
    randomized(encoder)
    rng = np.random.default_rng(3)
    long = random_inputs(rng, tiny_config, [[1] * 5 + [0] * 6] * 2)
    short = {name: array[:, :5] for name, array in long.items()}
    other = {**long, "token_ids": np.where(long["padding_mask"], long["token_ids"], 7)}
    expected = outputs(encoder, only(short))
    for inputs in (long, other):
        result = outputs(encoder, only(inputs))
        assert_close(numpy(result["sequence_output"])[:, :5], numpy(expected["sequence_output"]))
        assert_close(result["pooled_output"], numpy(expected["pooled_output"]))


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_fully_padded_rows_give_numbers(tiny_config, precision, policy):
    precision(policy)
    model = build_pretraining_model(tiny_config)
    inputs = random_inputs(np.random.default_rng(4), tiny_config, [[0] * 8, [1] * 8])
    for logits in outputs(model, inputs).values():
        assert np.isfinite(numpy(logits)).all()


def test_equals_keras_hub(tiny_config):
    """The same weights in keras_hub.models.BertBackbone: numbers that others stand for."""
    if keras.backend.backend() != "tensorflow":
        pytest.skip("once is enough")
    keras_hub = pytest.importorskip("keras_hub")
    config = dataclasses.replace(tiny_config, dropout=0.0, attention_dropout=0.0)
    encoder = build_encoder(config)
    weights = randomized(encoder)
    theirs = keras_hub.models.BertBackbone(
        vocabulary_size=config.vocabulary_size,
        num_layers=config.num_layers,
        num_heads=config.num_heads,
        hidden_dim=config.hidden_dim,
        intermediate_dim=config.intermediate_dim,
        dropout=0.0,
        max_sequence_length=config.max_sequence_length,
        num_segments=config.num_segments,
    )
    fill_keras_hub(theirs, weights, config)
    inputs = only(random_inputs(np.random.default_rng(5), config, [[1] * 8, [1] * 5 + [0] * 3]))
    result, expected = encoder(inputs), theirs(inputs)
    real = inputs["padding_mask"] > 0
    for name in ("sequence_output", "pooled_output"):
        ours, reference = numpy(result[name]), numpy(expected[name])
        if name == "sequence_output":
            ours, reference = ours[real], reference[real]
        np.testing.assert_allclose(ours, reference, atol=2e-5)


def fill_keras_hub(backbone, weights, config):
    """Copy weights by the names that keras-hub's layers have."""
    names = {
        "token_embedding": "embedding/token_table",
        "position_embedding": "embedding/position_table",
        "segment_embedding": "embedding/segment_table",
    }
    for layer, name in names.items():
        (table,) = backbone.get_layer(layer).weights
        table.assign(weights[name])
    backbone.get_layer("embeddings_layer_norm").set_weights(
        [weights["embedding/norm/gamma"], weights["embedding/norm/beta"]]
    )
    backbone.get_layer("pooled_dense").set_weights(
        [weights["pooler/dense/kernel"], weights["pooler/dense/bias"]]
    )
    parts = ("query", "key", "value")
    for index in range(config.num_layers):
        ours = f"block_{index}/"
        kernels = np.split(weights[ours + "attention/query_key_value/kernel"], 3, axis=1)
        biases = np.split(weights[ours + "attention/query_key_value/bias"], 3)
        values = {}
        for part, kernel, bias in zip(parts, kernels, biases, strict=True):
            values[f"self_attention_layer/{part}"] = (kernel, bias)
        for theirs, name in {
            "self_attention_layer/attention_output": "attention/output_projection",
            "self_attention_layer_norm": "attention_norm",
            "feedforward_intermediate_dense": "intermediate",
            "feedforward_output_dense": "output",
            "feedforward_layer_norm": "output_norm",
        }.items():
            kind = ("gamma", "beta") if theirs.endswith("norm") else ("kernel", "bias")
            values[theirs] = tuple(weights[f"{ours}{name}/{each}"] for each in kind)
        for weight in backbone.get_layer(f"transformer_layer_{index}").weights:
            path, kind = weight.path.rsplit("/", 1)
            part = next(name for name in values if path.endswith(name))
            weight.assign(values[part][kind in ("bias", "beta")].reshape(weight.shape))


@pytest.mark.parametrize("preset", ["tiny", "small"])
def test_built_models_have_the_counted_parameters(preset):
    config = BertConfig.preset(preset, 30_522)
    encoder = build_encoder(config)
    assert encoder.count_params() == config.num_parameters()
    # The heads: transform, its norm, a bias a piece, two classes; no second table.
    heads = config.hidden_dim * (config.hidden_dim + 3) + 30_522 + 2 * (config.hidden_dim + 1)
    if preset == "tiny":
        assert build_pretraining_model(config).count_params() == encoder.count_params() + heads


def test_without_pooled_output_there_is_no_pooler(tiny_config):
    encoder = build_encoder(tiny_config, ("sequence_output",))
    hidden = tiny_config.hidden_dim
    assert encoder.count_params() == tiny_config.num_parameters() - hidden * (hidden + 1)


@pytest.mark.parametrize("variant", [{}, {"direction": "left"}, {"norm_placement": "pre"}])
def test_the_pooled_output_alone_is_the_same(tiny_config, variant):
    config = dataclasses.replace(tiny_config, **variant)
    encoder = build_encoder(config)
    randomized(encoder)
    alone = keras.Model(encoder.input, {"pooled": pooled_alone(encoder)})
    inputs = only(random_inputs(np.random.default_rng(0), config, MASKS[:2]))
    expected = numpy(encoder(inputs)["pooled_output"])
    assert_close(alone(inputs)["pooled"], expected)


@pytest.mark.parametrize("outputs", [(), ("logits",), ("sequence_output", "x")])
def test_unknown_outputs_are_refused(tiny_config, outputs):
    with pytest.raises(ValueError, match="`outputs` must be some of"):
        build_encoder(tiny_config, outputs)


def test_masked_lm_is_tied_to_the_token_table(tiny_config):
    """One table: changing a row of it moves the input's embedding and that piece's logit."""
    keras.utils.set_random_seed(6)
    model = build_pretraining_model(tiny_config)
    tables = [w.path for w in model.weights if tiny_config.vocabulary_size in w.shape]
    assert sorted(tables) == ["embedding/token_table", "masked_lm_bias/bias"]
    inputs = random_inputs(np.random.default_rng(6), tiny_config, [[1] * 8])
    inputs["token_ids"][:] = 3
    before = numpy(outputs(model, inputs)["masked_lm"])
    table = model.get_layer("embedding").token_table
    # Not the same number throughout: what it is multiplied with is normalised, and sums to 0.
    row = np.linspace(-1, 1, tiny_config.hidden_dim)
    table.assign(np.where(np.arange(tiny_config.vocabulary_size)[:, None] == 11, row, numpy(table)))
    after = numpy(outputs(model, inputs)["masked_lm"])
    np.testing.assert_allclose(np.delete(after - before, 11, axis=-1), 0, atol=1e-6)
    assert np.abs(after - before)[..., 11].min() > 1e-4


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_every_precision_learns(tiny_config, precision, policy):
    """Plain compile and fit; weights and logits are float32 whatever the policy."""
    keras.utils.set_random_seed(0)
    precision(policy)
    config = dataclasses.replace(tiny_config, num_layers=1, dropout=0.0, attention_dropout=0.0)
    model = build_pretraining_model(config)
    assert {weight.dtype for weight in model.trainable_weights} == {"float32"}
    inputs = random_inputs(np.random.default_rng(7), config, [[1] * 8] * 4)
    for logits in outputs(model, inputs).values():
        assert dtype_of(logits) == "float32"
    targets = {
        "masked_lm": np.arange(12).reshape(4, 3),
        "next_sentence": np.array([[0, 1]] * 4),
    }
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(
        keras.optimizers.Adam(0.01),
        {"masked_lm": loss, "next_sentence": loss},
        jit_compile=keras.backend.backend() == "jax",  # where each operation would be compiled
    )
    losses = [float(model.train_on_batch(inputs, targets)[0]) for _ in range(12)]
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.8 * losses[0]


def test_any_length_up_to_the_maximum(tiny_config):
    encoder = build_encoder(tiny_config)
    for length in (1, 7, 16):
        inputs = only(random_inputs(np.random.default_rng(8), tiny_config, [[1] * length]))
        assert outputs(encoder, inputs)["sequence_output"].shape == (1, length, 8)
    too_long = only(random_inputs(np.random.default_rng(8), tiny_config, [[1] * 17]))
    with pytest.raises(ValueError, match="max_sequence_length=16"):
        encoder(too_long)


def test_the_same_seed_gives_the_same_weights(tiny_config):
    models = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        models.append(build_pretraining_model(tiny_config))
    first, same, other = ([numpy(w) for w in model.trainable_weights] for model in models)
    assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True))
    assert not np.array_equal(first[0], other[0])
