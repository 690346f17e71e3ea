"""A start from the corpus: where heads look, which pieces are alike, what is left as it was."""

import keras
import numpy as np
import pytest

from kbert.config import ARCHITECTURES, BertConfig
from kbert.errors import DataError
from kbert.models import build_encoder
from kbert.pretraining.initialization import (
    attend_to_neighbours,
    check_initialization,
    initialize,
)
from kbert.pretraining.settings import INITIALIZATIONS
from tests.layers.contract import numpy

DISTANCES = (-1, 1, -2, 2)


@pytest.fixture(scope="module")
def encoders():
    """The same encoder before and after."""
    config = BertConfig(
        50, num_layers=2, num_heads=8, hidden_dim=256, intermediate_dim=64, max_sequence_length=64
    )
    models = []
    for _ in range(2):
        keras.utils.set_random_seed(0)
        models.append(build_encoder(config, ("sequence_output", "attention_scores")))
    attend_to_neighbours(models[1])
    return models


def scores(encoder):
    rng = np.random.default_rng(0)
    inputs = {
        "token_ids": rng.integers(0, 50, (8, 40)),
        "segment_ids": np.zeros((8, 40), int),
        "padding_mask": np.ones((8, 40), int),
    }
    return numpy(encoder(inputs)["attention_scores"][0])  # (batch, heads, query, key)


def share_at(attention, distance):
    """The mean probability on the token `distance` behind the query's."""
    return np.diagonal(attention, distance, axis1=1, axis2=2).mean()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"architecture": "bag"}, "architecture bag"),
        ({"position": "rotary"}, "position rotary"),
        ({"position_at": "every_layer"}, "position_at every_layer"),
        ({"attention_score": "additive"}, "attention_score additive"),
        ({"norm_placement": "aau"}, "attention_score dot"),
    ],
)
def test_what_cannot_look_at_neighbours_is_refused(changes, said):
    with pytest.raises(DataError, match=f"scaled dot products and learned .*{said}"):
        check_initialization("corpus", BertConfig(9, **changes))
    check_initialization("token-vectors", BertConfig(9, **changes))
    check_initialization("corpus", BertConfig(9, norm_placement="pre", direction="left"))


def test_each_head_looks_at_its_distance(encoders):
    after = scores(encoders[1])
    for head, distance in enumerate(DISTANCES):
        found = {d: share_at(after[:, head], d) for d in range(-8, 9)}
        assert max(found, key=found.get) == distance
        assert found[distance] > 0.3


def test_the_other_half_of_the_heads_looks_everywhere(encoders):
    before, after = scores(encoders[0]), scores(encoders[1])
    assert after[:, 4:].max() < 0.2
    assert before.max() < 0.2


def test_attention_was_nearly_uniform_before(encoders):
    before = scores(encoders[0])
    assert all(share_at(before[:, head], d) < 0.05 for head in range(8) for d in DISTANCES)


def test_positions_are_as_large_as_tokens(encoders):
    embedding = encoders[1].get_layer("embedding")
    tokens, positions = numpy(embedding.token_table), numpy(embedding.position_table)
    assert positions.std() == pytest.approx(tokens.std(), rel=0.05)


def test_everything_else_is_as_it_was(encoders):
    changed = {
        new.path
        for old, new in zip(*(encoder.weights for encoder in encoders), strict=True)
        if not np.array_equal(numpy(old), numpy(new))
    }
    assert changed == {"embedding/position_table", "block_0/attention/query_key_value/kernel"}
    kernels = [numpy(e.get_layer("block_0").attention.query_key_value.kernel) for e in encoders]
    np.testing.assert_array_equal(kernels[0][:, 512:], kernels[1][:, 512:])  # the values'


@pytest.mark.parametrize(("width", "heads"), [(6, 3), (8, 1), (20, 10)])
def test_unusual_sizes(width, heads):
    """Heads of odd width, a single one, more than there are distances."""
    config = BertConfig(
        10,
        num_layers=1,
        num_heads=heads,
        hidden_dim=width,
        intermediate_dim=8,
        max_sequence_length=9,
    )
    encoder = build_encoder(config)
    attend_to_neighbours(encoder)
    assert all(np.isfinite(numpy(weight)).all() for weight in encoder.weights)


STARTS = [(name, "transformer") for name in INITIALIZATIONS]
STARTS += [(name, other) for name in ("bert", "token-vectors") for other in ARCHITECTURES[1:]]


@pytest.mark.parametrize(("name", "architecture"), STARTS)
def test_what_each_start_changes(name, architecture):
    config = BertConfig(
        40,
        num_layers=1,
        num_heads=2,
        hidden_dim=16,
        intermediate_dim=8,
        max_sequence_length=9,
        architecture=architecture,
    )
    encoder = build_encoder(config)
    before = {weight.path: numpy(weight).copy() for weight in encoder.weights}
    tokens = np.random.default_rng(0).integers(0, 40, 5000).astype("uint16")
    initialize(encoder, name, tokens)
    changed = {w.path for w in encoder.weights if not np.array_equal(numpy(w), before[w.path])}
    table, heads = "token_table", ("position_table", "query_key_value/kernel")
    expected = {"bert": (), "token-vectors": (table,), "corpus": (table, *heads)}[name]
    assert {path for path in changed if path.endswith(expected)} == changed
    assert len(changed) == len(expected)
    if expected:
        vectors = numpy(encoder.get_layer("embedding").token_table)
        np.testing.assert_allclose(np.sqrt((vectors**2).mean(axis=1)), 0.05, rtol=1e-4)
