"""Entities: chosen as a whole, and each as likely as a word."""

import numpy as np
import pytest
from hypothesis import given

from kbert.corpus.store import TokenStore
from kbert.errors import DataError
from kbert.pretraining.masking.entity import EntityMasking
from tests.pretraining.masking.rows_of_words import (
    FIRST_ORDINARY,
    VOCABULARY,
    chosen_of,
    continues,
    rows,
    taken,
    wanted,
    words_of,
)


@given(case=rows())
def test_equals_a_plain_loop(case):
    token_ids, candidates, rate, rng = case
    masking, sequence = EntityMasking(VOCABULARY, rate), token_ids.shape[1]
    draws = rng.random((len(token_ids), masking.num_draws(sequence)))
    entities = rng.choice(3, token_ids.shape, p=[0.5, 0.2, 0.3])
    masked = masking(token_ids, candidates, draws, 0.0, {"entities": entities})
    slots = masking.max_predictions(sequence)
    for row, chosen in enumerate(chosen_of(masked)):
        marks = entities[row]
        begins = [
            mark == 1
            or mark == 0
            and (not continues(token_ids[row, place]) or bool(place and marks[place - 1]))
            for place, mark in enumerate(marks)
        ]
        units = words_of(token_ids[row], candidates[row], begins)
        assert chosen == taken(units, draws[row], wanted(candidates[row], rate, slots), slots)


def test_an_entity_is_never_cut():
    row = np.full(30, FIRST_ORDINARY)
    marks = np.array([0, 1, 2, 2, 0, 0] * 5)
    token_ids, entities = np.tile(row, (500, 1)), np.tile(marks, (500, 1))
    masking = EntityMasking(VOCABULARY, 0.3)
    draws = np.random.default_rng(0).random((500, masking.num_draws(30)))
    masked = masking(token_ids, token_ids > 0, draws, 0.0, {"entities": entities})
    is_chosen = np.zeros((500, 30), bool)
    for row, chosen in enumerate(chosen_of(masked)):
        is_chosen[row, chosen] = True
    parts = is_chosen[:, marks > 0].reshape(500, 5, 3).sum(axis=2)
    assert set(parts.ravel()) == {0, 3}
    assert is_chosen[:, marks == 0].any()


def test_a_store_without_entities_is_refused(tiny_store):
    with pytest.raises(DataError, match="kbert prepare wrote with --entities, for .* entity"):
        EntityMasking.of(TokenStore(tiny_store))
