"""Scores of queries and keys against their formulas, pair by pair."""

import numpy as np
import pytest

from kbert.config import ATTENTION_SCORES
from kbert.layers.attention_scores import SCORES
from tests.layers.contract import numpy
from tests.reference_bert import attention_score, randomized

RNG = np.random.default_rng(0)
QUERY, KEY = (RNG.normal(size=(2, 3, 5, 4)).astype("float32") for _ in range(2))


def test_every_name_has_a_score():
    assert tuple(SCORES) == ATTENTION_SCORES


@pytest.mark.parametrize("name", SCORES)
def test_every_pair_by_its_formula(name):
    layer = SCORES[name](name="scores")
    layer.build(QUERY.shape)
    weights = randomized(layer)
    found = numpy(layer(QUERY, KEY))
    for row, head, query, key in np.ndindex(*found.shape):
        pair = QUERY[row, head, query], KEY[row, head, key]
        expected = attention_score(weights, "", name, head, *pair)
        np.testing.assert_allclose(found[row, head, query, key], expected, atol=1e-5)
