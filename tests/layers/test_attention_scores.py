"""Scores of queries and keys against their formulas, pair by pair."""

import numpy as np
import pytest

from kbert.config import ATTENTION_SCORES
from kbert.layers.attention_scores import SCORES
from tests.layers.contract import numpy
from tests.reference_bert import attention_score, randomized

RNG = np.random.default_rng(0)


def test_every_name_has_a_score():
    assert tuple(SCORES) == ATTENTION_SCORES


# TensorFlow 2.21's product of four axes and three is wrong on a CPU where the second axis is 1.
@pytest.mark.parametrize("shape", [(2, 3, 5, 4), (2, 1, 16, 4)], ids=["three heads", "one head"])
@pytest.mark.parametrize("name", SCORES)
def test_every_pair_by_its_formula(name, shape):
    queries, keys = RNG.normal(size=(2, *shape)).astype("float32")
    layer = SCORES[name](name="scores")
    layer.build(shape)
    weights = randomized(layer)
    found = numpy(layer(queries, keys))
    for row, head, query, key in np.ndindex(*found.shape):
        pair = queries[row, head, query], keys[row, head, key]
        expected = attention_score(weights, "", name, head, *pair)
        np.testing.assert_allclose(found[row, head, query, key], expected, atol=1e-5)
