"""What holds for every masking: targets, special tokens, shares, and a rate that changes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbert.pretraining.masking import MASKINGS
from kbert.pretraining.masking.low_frequency import LowFrequencyMasking
from tests.pretraining.masking.rows_of_words import FIRST_ORDINARY, VOCABULARY, chosen_of, rows

MASK = 4
COUNTS = np.arange(len(VOCABULARY)) ** 2


def masking_of(name, rate, **options):
    if name == LowFrequencyMasking.name:
        options["counts"] = COUNTS
    return MASKINGS[name](VOCABULARY, rate=rate, **options)


def marks_of(token_ids, rng):
    """Words and entities anywhere."""
    return {
        "words": rng.integers(0, 2, token_ids.shape),
        "entities": rng.integers(0, 3, token_ids.shape),
    }


@pytest.mark.parametrize("stored_words", [False, True])
@pytest.mark.parametrize("name", MASKINGS)
@given(case=rows(), progress=st.sampled_from([0.0, 0.5, 1.0]))
def test_rows_are_masked_within_their_slots(name, stored_words, case, progress):
    token_ids, candidates, rate, rng = case
    options = {} if name == "token" or not stored_words else {"stored_words": True}
    masking = masking_of(name, rate, final_rate=rate / 2, **options)
    draws = rng.random((len(token_ids), masking.num_draws(token_ids.shape[1])))
    before = token_ids.copy()
    masked = masking(token_ids, candidates, draws, progress, marks_of(token_ids, rng))
    np.testing.assert_array_equal(token_ids, before)
    slots = masking.max_predictions(token_ids.shape[1])
    assert masked.positions.shape == (len(token_ids), slots)
    for row, chosen in enumerate(chosen_of(masked)):
        assert candidates[row, chosen].all()
        np.testing.assert_array_equal(masked.targets[row, : len(chosen)], before[row, chosen])
        others = np.delete(np.arange(token_ids.shape[1]), chosen)
        np.testing.assert_array_equal(masked.token_ids[row, others], before[row, others])
        now = masked.token_ids[row, chosen]
        assert ((now == MASK) | (now >= FIRST_ORDINARY)).all()
        available = candidates[row].sum()
        limit = max(1, round(available * (rate - progress * rate / 2)))
        # A word that is longer than what is wanted stands alone.
        is_one = bool(chosen) and chosen[-1] - chosen[0] + 1 == len(chosen)
        assert len(chosen) <= limit or (name != "token" and is_one)
        assert len(chosen) <= slots


@pytest.mark.parametrize("name", MASKINGS)
def test_shares_are_settings(name):
    token_ids = np.full((2000, 40), FIRST_ORDINARY)
    masking = masking_of(name, 0.3, masked_share=0.5, random_share=0.2)
    draws = np.random.default_rng(0).random((2000, masking.num_draws(40)))
    marks = {"entities": np.zeros_like(token_ids)}
    masked = masking(token_ids, token_ids > 0, draws, 0.0, marks)
    used = masked.weights > 0
    assert used.mean() > 0.95
    now = np.take_along_axis(masked.token_ids, masked.positions, axis=1)[used]
    kept, hidden = now == FIRST_ORDINARY, now == MASK
    by_chance = 0.2 / (len(VOCABULARY) - FIRST_ORDINARY)
    assert hidden.mean() == pytest.approx(0.5, abs=0.02)
    assert kept.mean() == pytest.approx(0.3 + by_chance, abs=0.02)


@pytest.mark.parametrize("name", ["token", "whole-word", "span"])
def test_a_rate_falls_in_a_line(name):
    """And its slots are those of the highest rate all the time."""
    token_ids = np.full((200, 100), FIRST_ORDINARY)
    masking = masking_of(name, 0.3, final_rate=0.1)
    assert masking.max_predictions(100) == 30
    assert masking_of(name, 0.1, final_rate=0.3).max_predictions(100) == 30
    draws = np.random.default_rng(0).random((200, masking.num_draws(100)))
    for progress, expected in ((0.0, 30), (0.25, 25), (1.0, 10)):
        weights = masking(token_ids, token_ids > 0, draws, progress).weights
        assert (weights.sum(axis=1) == expected).all()


@pytest.mark.parametrize("name", ["whole-word", "span"])
def test_the_fate_of_what_is_chosen_together_may_be_one(name):
    """Every word has three pieces: each its own, or all of them the same."""
    row = np.array([FIRST_ORDINARY, *[FIRST_ORDINARY + 2] * 2] * 20)
    token_ids = np.tile(row, (300, 1))
    shares = {}
    for together in (True, False, None):
        masking = masking_of(name, 0.3, random_share=0.0, together=together)
        draws = np.random.default_rng(0).random((300, masking.num_draws(60)))
        masked = masking(token_ids, token_ids > 0, draws)
        now = np.take_along_axis(masked.token_ids, masked.positions, axis=1) == MASK
        words = now.reshape(300, 6, 3)
        shares[together] = (words.all(axis=2) | ~words.any(axis=2)).mean()
        assert now.mean() == pytest.approx(0.8, abs=0.03)
    assert shares[True] == 1 and shares[False] < 0.7
    assert shares[None] == shares[name == "span"]
