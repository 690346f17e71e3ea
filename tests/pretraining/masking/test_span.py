"""Spans: as a plain loop chooses them; their lengths are SpanBERT's."""

import numpy as np
import pytest
from hypothesis import given
from scipy.stats import chisquare

from kbert.pretraining.masking.span import SpanMasking, drawn_lengths
from tests.pretraining.masking.rows_of_words import (
    FIRST_ORDINARY,
    VOCABULARY,
    chosen_of,
    rows,
    wanted,
    words_of,
)


def by_hand(words, begins, lengths, count, slots):
    """Spans of whole words in the order of `begins`, in plain Python."""
    follows = {word[0]: index for index, word in enumerate(words)}
    chosen, left = set(), count
    order = sorted(words, key=lambda word: begins[word[0]])
    for first in order:
        index, end = follows[first[0]], first[0]
        for word in words[index : index + lengths[first[0]]]:
            if word[0] != end or word[0] in chosen or len(word) > left:
                break
            chosen |= set(word)
            left -= len(word)
            end = word[-1] + 1
    if not chosen:
        chosen = {place for word in [w for w in order if len(w) <= slots][:1] for place in word}
    return sorted(chosen)


@given(case=rows())
def test_equals_a_plain_loop(case):
    token_ids, candidates, rate, rng = case
    masking, sequence = SpanMasking(VOCABULARY, rate), token_ids.shape[1]
    draws = rng.random((len(token_ids), masking.num_draws(sequence)))
    masked = masking(token_ids, candidates, draws)
    slots = masking.max_predictions(sequence)
    lengths = drawn_lengths(draws[:, sequence : 2 * sequence])
    for row, chosen in enumerate(chosen_of(masked)):
        words = words_of(token_ids[row], candidates[row])
        count = wanted(candidates[row], rate, slots)
        assert chosen == by_hand(words, draws[row], lengths[row], count, slots)
        for word in words:
            assert set(word) <= set(chosen) or not set(word) & set(chosen)


def test_lengths_are_geometric_up_to_ten():
    """p = 0.2: lengths fall by 0.8, and have the paper's mean of 3.8 words."""
    lengths = drawn_lengths(np.random.default_rng(0).random(20_000))
    expected = 0.2 * 0.8 ** np.arange(10)
    counts = np.bincount(lengths, minlength=11)
    assert len(counts) == 11 and counts[0] == 0
    assert chisquare(counts[1:], expected / expected.sum() * len(lengths)).pvalue > 0.001
    assert lengths.mean() == pytest.approx(3.8, abs=0.05)
    assert list(drawn_lengths(np.array([0.0, np.nextafter(1, 0)]))) == [1, 10]


def test_spans_in_long_rows_keep_these_lengths():
    """Few of them in much text: hardly any is cut short, so runs are as long as drawn."""
    token_ids = np.full((400, 2000), FIRST_ORDINARY)
    masking = SpanMasking(VOCABULARY, 0.02)
    draws = np.random.default_rng(1).random((400, masking.num_draws(2000)))
    masked = masking(token_ids, token_ids > 0, draws)
    runs = []
    for chosen in chosen_of(masked):
        breaks = np.flatnonzero(np.diff(chosen) > 1) + 1
        runs += [len(run) for run in np.split(chosen, breaks)]
    shares = np.bincount(np.minimum(runs, 11), minlength=12)[1:] / len(runs)
    expected = 0.8 ** np.arange(10) / (0.8 ** np.arange(10)).sum()
    np.testing.assert_allclose(shares, [*expected, 0], atol=0.04)
