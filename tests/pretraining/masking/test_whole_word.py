"""Whole words: as a plain loop over shuffled words chooses them, never a part of one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbert.corpus.store import TokenStore
from kbert.errors import DataError
from kbert.pretraining.masking.whole_word import WholeWordMasking
from tests.pretraining.masking.rows_of_words import (
    FIRST_ORDINARY,
    VOCABULARY,
    chosen_of,
    rows,
    taken,
    wanted,
    words_of,
)


@given(case=rows(), stored_words=st.booleans())
def test_equals_a_plain_loop(case, stored_words):
    token_ids, candidates, rate, rng = case
    masking = WholeWordMasking(VOCABULARY, rate, stored_words=stored_words)
    sequence = token_ids.shape[1]
    draws = rng.random((len(token_ids), masking.num_draws(sequence)))
    begins = rng.integers(0, 2, token_ids.shape)
    masked = masking(token_ids, candidates, draws, 0.0, {"words": begins})
    slots = masking.max_predictions(sequence)
    for row, chosen in enumerate(chosen_of(masked)):
        own = begins[row] if stored_words else None
        words = words_of(token_ids[row], candidates[row], own)
        count = wanted(candidates[row], rate, slots)
        assert chosen == taken(words, draws[row], count, slots)
        for word in words:
            assert set(word) <= set(chosen) or not set(word) & set(chosen)


def test_every_word_is_as_likely():
    """Words of one piece and of two: not twice as often, and not half as often."""
    row = np.array([FIRST_ORDINARY, FIRST_ORDINARY, FIRST_ORDINARY + 2] * 10)
    token_ids = np.tile(row, (4000, 1))
    masking = WholeWordMasking(VOCABULARY, 0.3)
    draws = np.random.default_rng(0).random((4000, masking.num_draws(30)))
    masked = masking(token_ids, token_ids > 0, draws)
    counts = np.bincount(masked.positions[masked.weights > 0], minlength=30) / 4000
    np.testing.assert_allclose(counts[1::3], counts[2::3])
    np.testing.assert_allclose(counts, 0.3, atol=0.06)


def test_a_store_without_words_is_refused_where_they_are_asked_for(tiny_store):
    store = TokenStore(tiny_store)
    WholeWordMasking.of(store)
    with pytest.raises(DataError, match="kbert prepare wrote with --words, for .* whole-word"):
        WholeWordMasking.of(store, stored_words=True)
