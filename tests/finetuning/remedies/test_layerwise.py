"""What is frozen stays, what is drawn again is new, what is slowed down moves less."""

import dataclasses

import keras
import numpy as np
import pytest

from kbert.config import BertConfig
from kbert.engine.optimizers import BertAdam
from kbert.engine.tensorflow import TrainingModel
from kbert.errors import DataError
from kbert.finetuning.remedies.layerwise import (
    check_layers,
    first_steps,
    freeze,
    never_moved,
    rate_factors,
    reinitialize,
)
from kbert.finetuning.settings import FinetuningSettings
from kbert.models import build_encoder
from tests.engine.toy_model import squares
from tests.reference_bert import random_inputs

LAYERS = ("embedding", "block_0", "block_1", "pooler", "head")
RATE = 0.01


@pytest.fixture
def config(tiny_config) -> BertConfig:
    return dataclasses.replace(tiny_config, dropout=0.0, attention_dropout=0.0)


@pytest.fixture
def after_a_step(config):
    """`after_a_step(prepare)`: each layer's weights before and after one step of Adam.

    `prepare(encoder)` returns the factors of the rate.
    """

    def take(prepare):
        keras.utils.set_random_seed(0)
        encoder = build_encoder(config)
        factors = prepare(encoder)
        y = keras.layers.Dense(1, name="head")(encoder.output["pooled_output"])
        model = keras.Model(encoder.input, {"y": y})
        training_model = TrainingModel(model, squares)
        # An epsilon that is nothing beside any gradient: Adam's first step is the rate, or nothing.
        training_model.compile(
            BertAdam(RATE, weight_decay=0.0, epsilon=1e-30, rate_factors=factors)
        )
        before = weights_by_layer(model)
        inputs = inputs_of(config)
        targets, weights = np.ones((4, 1), "float32"), np.full((4, 1), 0.25, "float32")
        training_model.train_on_batch(inputs, {"y": targets}, {"y": weights})
        return before, weights_by_layer(model)

    return take


def inputs_of(config):
    drawn = random_inputs(np.random.default_rng(0), config, [[1] * 8] * 4)
    return {name: drawn[name] for name in ("token_ids", "segment_ids", "padding_mask")}


def weights_by_layer(model):
    return {name: [w.copy() for w in model.get_layer(name).get_weights()] for name in LAYERS}


def largest_steps(before, after):
    return {
        name: max(np.abs(a - b).max() for a, b in zip(after[name], before[name], strict=True))
        for name in LAYERS
    }


def test_each_layer_moves_by_its_rate(after_a_step, config):
    steps = largest_steps(*after_a_step(lambda encoder: rate_factors(encoder, 0.5)))
    assert steps == {
        "head": pytest.approx(RATE, 1e-3),
        "pooler": pytest.approx(RATE, 1e-3),
        "block_1": pytest.approx(RATE / 2, 1e-3),
        "block_0": pytest.approx(RATE / 4, 1e-3),
        "embedding": pytest.approx(RATE / 8, 1e-3),
    }


def test_a_layer_of_positions_is_with_the_embeddings(config):
    told_anew = dataclasses.replace(config, position_at="every_layer")
    encoder = build_encoder(told_anew)
    factors = rate_factors(encoder, 0.5)
    assert factors["position/table"] == factors["embedding/token_table"] == 1 / 8
    freeze(encoder, True, 0)
    assert not encoder.get_layer("position").trainable


def test_a_decay_of_1_is_one_rate_for_all(after_a_step, config):
    steps = largest_steps(*after_a_step(lambda encoder: rate_factors(encoder, 1.0)))
    assert list(steps.values()) == pytest.approx([RATE] * 5, 1e-3)


@pytest.mark.parametrize(
    ("embeddings", "lowest", "frozen"),
    [(True, 0, LAYERS[:1]), (False, 1, LAYERS[:2]), (False, 2, LAYERS[:3])],
)
def test_frozen_layers_are_bit_equal_and_others_learn(after_a_step, embeddings, lowest, frozen):
    before, after = after_a_step(lambda encoder: freeze(encoder, embeddings, lowest))
    for name in LAYERS:
        same = [np.array_equal(a, b) for a, b in zip(after[name], before[name], strict=True)]
        assert all(same) if name in frozen else not all(same), name


def test_no_gradient_is_computed_below_what_is_frozen(config):
    """The pass has no backward products for frozen blocks: TensorFlow's graph, pruned."""

    def products(lowest):
        encoder = build_encoder(config)
        freeze(encoder, False, lowest)
        model = keras.Model(encoder.input, {"y": encoder.output["pooled_output"][:, :1]})
        training_model = TrainingModel(model, squares)
        inputs = inputs_of(config)
        ones = {"y": np.ones((4, 1), "float32")}
        graph = training_model._differentiate.get_concrete_function(
            (inputs, ones, ones), np.int64(0), np.float32(1)
        ).graph
        needed, found = {output.op for output in graph.outputs}, []
        queue = list(needed)
        while queue:
            op = queue.pop()
            found.append(op.type)
            new = {tensor.op for tensor in op.inputs} - needed
            needed |= new
            queue += new
        return sum("MatMul" in kind or kind == "Einsum" for kind in found)

    # A block of the forward pass has n products, and 2 n in the backward pass.
    forward_and_backward, one_less, two_less = products(0), products(1), products(2)
    assert forward_and_backward > one_less > two_less
    assert forward_and_backward - one_less >= one_less - two_less


def test_what_is_drawn_again(config):
    keras.utils.set_random_seed(0)
    encoder = build_encoder(config)
    for weight in encoder.weights:
        weight.assign(keras.ops.ones(weight.shape) * 7)
    reinitialize(encoder, config, 1)
    of_layer = {name: encoder.get_layer(name).get_weights() for name in LAYERS[:4]}
    for name in ("embedding", "block_0"):
        assert all((weight == 7).all() for weight in of_layer[name])
    fresh = build_encoder(config)
    for name in ("block_1", "pooler"):
        for weight, other in zip(of_layer[name], fresh.get_layer(name).get_weights(), strict=True):
            if weight.ndim > 1:  # New draws from the same distribution, BERT's 0.02.
                assert 0.01 < weight.std() < 0.03 and not np.array_equal(weight, other)
            else:  # Biases and norms.
                np.testing.assert_array_equal(weight, other)


def test_zero_layers_is_the_pooler_alone(config):
    encoder = build_encoder(config)
    before = {name: encoder.get_layer(name).get_weights() for name in LAYERS[:4]}
    reinitialize(encoder, config, 0)
    for name in LAYERS[:4]:
        same = np.array_equal(encoder.get_layer(name).get_weights()[0], before[name][0])
        assert same == (name != "pooler")


def test_more_layers_than_there_are(config):
    for changes in ({"freeze_layers": 3}, {"reinitialize": 3}):
        with pytest.raises(DataError, match="has 2 layers"):
            check_layers(config, FinetuningSettings(**changes))
    with pytest.raises(DataError, match="1 to draw again and 2 to freeze"):
        check_layers(config, FinetuningSettings(freeze_layers=2, reinitialize=1))
    check_layers(config, FinetuningSettings(freeze_layers=1, reinitialize=1))


def test_layers_are_unfrozen_from_above(config):
    """A layer moves when its epochs are over, and then as if it had moved all along."""
    keras.utils.set_random_seed(0)
    encoder = build_encoder(config)
    steps = first_steps(encoder, 0.5, steps_per_epoch=4)
    of_layer = {path.split("/")[0]: step for path, step in steps.items()}
    assert of_layer == {"block_1": 2, "block_0": 4, "embedding": 6}
    assert first_steps(encoder, None, steps_per_epoch=4) == {}
    # Two layers and the embeddings, half an epoch of 4 steps apart: at steps 2, 4 and 6.
    late = {steps: never_moved(encoder, 0.5, 4, steps) for steps in (7, 6, 2)}
    assert late == {7: [], 6: ["embedding"], 2: ["block_1", "block_0", "embedding"]}
    assert never_moved(encoder, None, 4, 1) == []

    optimizer = BertAdam(RATE, weight_decay=0.1, first_steps=steps)
    weights = [encoder.get_layer(name).weights[-1] for name in LAYERS[:-1]]
    optimizer.build(weights)
    moves = []
    for _ in range(8):
        before = [keras.ops.convert_to_numpy(weight) for weight in weights]
        optimizer.apply([keras.ops.ones_like(weight) for weight in weights])
        after = [keras.ops.convert_to_numpy(weight) for weight in weights]
        moves.append([float(np.abs(a - b).max()) for a, b in zip(after, before, strict=True)])
    moves = np.array(moves)
    for column, first in zip(moves.T, (6, 4, 2, 0), strict=True):
        assert not column[:first].any()
        np.testing.assert_allclose(column[first:], RATE, rtol=1e-3)
