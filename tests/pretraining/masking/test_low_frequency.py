"""Rare words: drawn one after another in proportion to their weights; counts are the store's."""

import numpy as np
from hypothesis import given

from kbert.corpus.store import TokenStore
from kbert.pretraining.masking.low_frequency import LowFrequencyMasking
from tests.pretraining.masking.rows_of_words import (
    FIRST_ORDINARY,
    VOCABULARY,
    chosen_of,
    rows,
    taken,
    wanted,
    words_of,
)

COUNTS = np.random.default_rng(3).integers(0, 5000, len(VOCABULARY))


@given(case=rows())
def test_equals_a_plain_loop(case):
    token_ids, candidates, rate, rng = case
    masking, sequence = LowFrequencyMasking(VOCABULARY, COUNTS, rate), token_ids.shape[1]
    draws = rng.random((len(token_ids), masking.num_draws(sequence)))
    masked = masking(token_ids, candidates, draws)
    slots = masking.max_predictions(sequence)
    for row, chosen in enumerate(chosen_of(masked)):
        words, keys = words_of(token_ids[row], candidates[row]), {}
        for word in words:
            rarest = max(10, min(COUNTS[token_ids[row, word]]))
            keys[word[0]] = -np.log(1 - draws[row, word[0]]) * np.sqrt(rarest)
        assert chosen == taken(words, keys, wanted(candidates[row], rate, slots), slots)


def test_the_first_choice_is_in_proportion_to_the_weight():
    """One of four words, seen 1,000, 10, 4,000 and 90 times."""
    counts = np.full(len(VOCABULARY), 7)
    pieces = FIRST_ORDINARY + np.array([0, 1, 3, 4])
    counts[pieces] = 1000, 2, 4000, 90
    token_ids = np.tile(pieces, (20_000, 1))
    masking = LowFrequencyMasking(VOCABULARY, counts, 0.25)
    draws = np.random.default_rng(0).random((20_000, masking.num_draws(4)))
    masked = masking(token_ids, token_ids > 0, draws)
    assert (masked.weights == 1).all() and masked.weights.shape == (20_000, 1)
    shares = np.bincount(masked.positions[:, 0], minlength=4) / 20_000
    weights = np.array([1000, 10, 4000, 90]) ** -0.5
    np.testing.assert_allclose(shares, weights / weights.sum(), atol=0.015)


def test_counts_are_those_of_the_training_text(tiny_store):
    store = TokenStore(tiny_store)
    masking = LowFrequencyMasking.of(store, rate=0.2)
    counts = np.bincount(store["train"].tokens, minlength=len(store.vocabulary))
    np.testing.assert_allclose(masking.weights, 1 / np.sqrt(np.maximum(counts, 10)))
    assert masking.rate == 0.2
