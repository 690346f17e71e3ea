"""Masking: the paper's shares on many tokens, and what must hold for every row."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbert.pretraining.masking.token import TokenMasking
from tests.small_store import vocabulary_of

MASK, FIRST_ORDINARY = 4, 5


def mask(token_ids, candidates, rate, seed=0, vocabulary_size=1000, draws=None):
    masking = TokenMasking(vocabulary_of(vocabulary_size), rate)
    if draws is None:
        shape = (len(token_ids), masking.num_draws(token_ids.shape[1]))
        draws = np.random.default_rng(seed).random(shape)
    return masking(token_ids, candidates, draws)


def masking_of(rate):
    return TokenMasking(vocabulary_of(30), rate)


def test_shares_of_the_paper():
    """128,000 tokens: 15 % chosen; of these 80 % [MASK], 10 % random, 10 % as they were."""
    rng = np.random.default_rng(1)
    token_ids = rng.integers(FIRST_ORDINARY, 1000, (1000, 128))
    masked = mask(token_ids, np.ones_like(token_ids, bool), 0.15)
    used = masked.weights > 0
    assert used.sum() / token_ids.size == pytest.approx(0.15, abs=0.01)
    inputs = np.take_along_axis(masked.token_ids, masked.positions, 1)[used]
    kept = inputs == masked.targets[used]
    hidden = inputs == MASK
    assert hidden.mean() == pytest.approx(0.8, abs=0.01)
    assert kept.mean() == pytest.approx(0.1, abs=0.01)
    assert (~kept & ~hidden).mean() == pytest.approx(0.1, abs=0.01)


def test_every_place_is_as_likely():
    token_ids = np.full((4000, 20), 7)
    masked = mask(token_ids, np.ones_like(token_ids, bool), 0.15)
    counts = np.bincount(masked.positions[masked.weights > 0], minlength=20) / len(token_ids)
    np.testing.assert_allclose(counts, 0.15, atol=0.025)  # 4.4 standard errors


def test_random_pieces_cover_the_ordinary_ones_evenly():
    token_ids = np.full((4000, 20), 900)
    masked = mask(token_ids, np.ones_like(token_ids, bool), 0.5, vocabulary_size=15)
    replaced = masked.token_ids[(masked.token_ids != 900) & (masked.token_ids != MASK)]
    counts = np.bincount(replaced, minlength=15)
    assert (counts[:FIRST_ORDINARY] == 0).all()
    np.testing.assert_allclose(counts[FIRST_ORDINARY:] / len(replaced), 0.1, atol=0.02)


def test_chosen_places_and_their_fate_are_independent():
    """The share of [MASK] is the same at the first and at the last place that was chosen."""
    token_ids = np.full((4000, 40), 900)
    masked = mask(token_ids, np.ones_like(token_ids, bool), 0.15)
    hidden = np.take_along_axis(masked.token_ids, masked.positions, 1) == MASK
    np.testing.assert_allclose(hidden.mean(axis=0), 0.8, atol=0.03)


@st.composite
def rows(draw):
    batch, sequence = draw(st.integers(1, 5)), draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    token_ids = rng.integers(0, 30, (batch, sequence))
    candidates = (token_ids >= FIRST_ORDINARY) & (rng.random((batch, sequence)) < rng.random())
    rate = draw(st.floats(0.01, 0.99))
    # Now and then the extremes that a uniform number in [0, 1) can take.
    extreme = draw(st.sampled_from([None, 0.0, np.nextafter(1, 0)]))
    draws = rng.random((batch, masking_of(rate).num_draws(sequence)))
    draws = draws if extreme is None else np.full_like(draws, extreme)
    return token_ids, candidates, rate, draws


@given(rows())
def test_properties_of_every_row(case):
    token_ids, candidates, rate, draws = case
    before = token_ids.copy()
    masked = mask(token_ids, candidates, rate, vocabulary_size=30, draws=draws)
    np.testing.assert_array_equal(token_ids, before)
    slots = masking_of(rate).max_predictions(token_ids.shape[1])
    assert masked.positions.shape == masked.targets.shape == masked.weights.shape
    assert masked.positions.shape == (len(token_ids), slots)
    for row in range(len(token_ids)):
        check_row(token_ids[row], candidates[row], rate, slots, [part[row] for part in masked])


def check_row(token_ids, candidates, rate, slots, masked):
    new_ids, positions, targets, weights = masked
    count = int(weights.sum())
    available = int(candidates.sum())
    assert set(weights) <= {0.0, 1.0} and (weights[:count] == 1).all()
    assert (positions[count:] == 0).all() and (targets[count:] == 0).all()
    chosen = positions[:count]
    assert list(chosen) == sorted(set(chosen))
    assert candidates[chosen].all()
    np.testing.assert_array_equal(targets[:count], token_ids[chosen])
    # At least one where there is one, otherwise the rate to the nearest whole number.
    assert (count == 0) == (available == 0)
    assert count <= min(available, slots)
    assert count <= 1 or abs(count - available * rate) <= 0.5
    if available * rate > 0.5:
        assert count >= min(available * rate, available, slots) - 0.5
    others = np.delete(np.arange(len(token_ids)), chosen)
    np.testing.assert_array_equal(new_ids[others], token_ids[others])
    for new, old in zip(new_ids[chosen], targets[:count], strict=True):
        assert new == MASK or new >= FIRST_ORDINARY or new == old


def test_special_tokens_are_never_chosen_nor_inserted():
    rng = np.random.default_rng(2)
    token_ids = rng.integers(0, 30, (500, 64))
    masked = mask(token_ids, token_ids >= FIRST_ORDINARY, 0.4, vocabulary_size=30)
    special = token_ids < FIRST_ORDINARY
    np.testing.assert_array_equal(masked.token_ids[special], token_ids[special])
    inserted = masked.token_ids[masked.token_ids != token_ids]
    assert set(inserted[inserted < FIRST_ORDINARY]) == {MASK}
    assert (masked.targets[masked.weights > 0] >= FIRST_ORDINARY).all()


def test_slots():
    """20 of 128 as in the paper's code; enough for a full row at every rate."""
    assert masking_of(0.15).max_predictions(128) == 20
    assert masking_of(0.15).max_predictions(512) == 77
    assert masking_of(0.01).max_predictions(5) == 1
    token_ids = np.full((1, 128), 9)
    assert mask(token_ids, token_ids > 0, 0.15).weights.sum() == 19  # 19.2
