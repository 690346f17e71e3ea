"""Vectors from counts, against counts made one by one."""

import collections

import numpy as np
import pytest

from kbert.pretraining import cooccurrence
from kbert.pretraining.cooccurrence import token_vectors


@pytest.mark.parametrize("length", [60, 4, 1])
def test_counts_are_those_of_a_loop(length):
    tokens = np.random.default_rng(0).integers(0, 7, length)
    expected = collections.Counter()
    for here, piece in enumerate(tokens):
        for there in range(max(0, here - 5), min(len(tokens), here + 6)):
            if there != here:
                expected[piece, tokens[there]] += 1
    counts = cooccurrence._counts(tokens, 7)
    contexts = np.argsort(-np.bincount(tokens, minlength=7), kind="stable")
    for piece in range(7):
        for column, context in enumerate(contexts):
            assert counts[piece, column] == expected[piece, context]


def test_counting_in_chunks_changes_nothing(monkeypatch):
    tokens = np.random.default_rng(1).integers(0, 50, 1000).astype("uint16")
    whole = cooccurrence._counts(tokens, 50)
    monkeypatch.setattr(cooccurrence, "_CHUNK", 64)
    np.testing.assert_array_equal(cooccurrence._counts(tokens, 50), whole)


def test_mutual_information_by_hand():
    information = cooccurrence._mutual_information(np.array([[8, 0], [0, 1]]))
    contexts = np.array([8, 1]) ** 0.75
    expected = np.log([8 / (8 * contexts[0] / contexts.sum()), 1 / (contexts[1] / contexts.sum())])
    np.testing.assert_allclose(np.diag(information), expected, rtol=1e-6)
    assert information[0, 1] == information[1, 0] == 0


def test_pieces_of_like_contexts_point_the_same_way():
    """Four topics of 10 pieces each, among 10 pieces that stand in texts of every topic."""
    rng = np.random.default_rng(2)
    own = rng.integers(0, 4, 500)[:, None] * 10 + rng.integers(0, 10, (500, 40))
    common = rng.integers(40, 50, (500, 40))
    tokens = np.where(rng.random((500, 40)) < 0.5, own, common).ravel()
    vectors = token_vectors(tokens, 50, 4)[:40]
    alike = (vectors @ vectors.T).reshape(4, 10, 4, 10).mean(axis=(1, 3))  # (topic, topic)
    others = alike[~np.eye(4, dtype=bool)]
    assert np.diag(alike).min() > others.max() + 0.3


@pytest.mark.parametrize(("vocabulary_size", "dimensions"), [(30, 8), (5, 8), (300, 16)])
def test_unit_vectors_of_any_size(vocabulary_size, dimensions):
    """Also with fewer pieces than dimensions, and with pieces that no token is."""
    tokens = np.random.default_rng(3).integers(0, min(vocabulary_size, 100), 2000)
    vectors = token_vectors(tokens, vocabulary_size, dimensions)
    assert vectors.shape == (vocabulary_size, dimensions)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    cooccurrence._last.clear()
    np.testing.assert_array_equal(vectors, token_vectors(tokens, vocabulary_size, dimensions))


def test_the_same_text_is_counted_once(monkeypatch):
    counted = []
    count = cooccurrence._counts
    monkeypatch.setattr(cooccurrence, "_counts", lambda *a: counted.append(a) or count(*a))
    first, second = np.random.default_rng(4).integers(0, 30, (2, 500))
    cooccurrence._last.clear()
    vectors = token_vectors(first, 30, 4)
    expected = vectors.copy()
    vectors[:] = 0  # What the caller does with them is its own affair.
    np.testing.assert_array_equal(token_vectors(first, 30, 4), expected)
    assert len(counted) == 1
    assert not np.array_equal(token_vectors(second, 30, 4), expected) and len(counted) == 2
    token_vectors(second, 30, 5)
    assert len(counted) == 3
