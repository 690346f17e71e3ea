"""Intervals and power: against SciPy, and against draws of which the truth is known."""

import numpy as np
import pytest
from scipy import stats

from kbert.laboratory.statistics import (
    FEWEST,
    difference,
    drawn_rows,
    noncentrality,
    resampled,
    resampled_tally,
)
from kbert.metrics.tally import mean_of


def _shifted(found, rows):
    """Differences of seeds, (seeds,), on rows whose draws move all of them by `rows`."""
    return difference(found, found[:, None] + rows, np.zeros_like(found), np.zeros((1, 1)))


def test_of_seeds_alone_the_interval_is_students():
    found = np.random.default_rng(3).normal(0.4, 1.0, size=6)
    one = _shifted(found, np.zeros(1))
    expected = stats.ttest_1samp(found, 0).confidence_interval()
    assert (one.low, one.high) == pytest.approx(tuple(expected))


def test_of_rows_alone_the_interval_is_the_bootstraps():
    """Seeds that agree: what is left is normal, as a mean over many rows is."""
    values = np.random.default_rng(4).normal(0.4, 1.0, size=400)
    drawn = np.array([values[rows].mean() for rows in drawn_rows(400, 4000)])
    one = _shifted(np.full(4, values.mean()), drawn - values.mean())
    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=4000, rng=np.random.default_rng(1)
    ).confidence_interval
    assert (one.low, one.high) == pytest.approx(tuple(expected), abs=0.005)


def test_the_bootstrap_over_rows_is_scipys():
    """Of one seed: paired rows, a score that is no mean."""
    rng = np.random.default_rng(4)
    gold = rng.normal(size=200)
    found = gold + rng.normal(size=200)

    def correlation(rows):
        return np.corrcoef(gold[rows], found[rows])[0, 1] if len(rows) > 1 else 0.0

    drawn = resampled(correlation, 200, 2000)
    expected = stats.bootstrap(
        (gold, found),
        lambda one, other: stats.pearsonr(one, other).statistic,
        paired=True,
        vectorized=False,
        n_resamples=1000,
        method="percentile",
        rng=np.random.default_rng(1),
    )
    np.testing.assert_allclose(
        np.quantile(drawn, [0.025, 0.975]), expected.confidence_interval, atol=0.02
    )
    assert drawn.std() == pytest.approx(expected.standard_error, rel=0.1)


def test_a_mean_of_rows_is_resampled_without_its_scorer():
    rows_seen = []
    right = np.array([1.0, 0.0, 1.0, 1.0])

    def accuracy(rows):
        rows_seen.append(len(rows))
        return right[rows].mean()

    drawn = resampled(accuracy, 4, 50)
    assert sorted(set(rows_seen)) == [1, 4] and rows_seen.count(4) == 1
    again = resampled(lambda rows: right[rows].mean() ** 1.0000001, 4, 50)  # No mean of rows.
    np.testing.assert_allclose(drawn, again, atol=1e-5)


def test_a_tally_is_resampled_as_its_scorer():
    right = np.random.default_rng(5).random(40) < 0.7
    drawn = resampled_tally(mean_of(right), 50)
    np.testing.assert_array_equal(drawn, resampled(lambda rows: right[rows].mean(), 40, 50))


@pytest.mark.parametrize("seeds", [FEWEST, 5])
def test_rows_that_are_worth_something_to_one_seed_alone_count_once(seeds):
    """Rows of 0 and 1, as accuracy has them, each drawn for each seed: nothing is shared."""
    rng, cases, rows = np.random.default_rng(9), 400, 200
    weights = np.stack([np.bincount(own, minlength=rows) for own in drawn_rows(rows, 200)]) / rows
    held = 0
    for _ in range(cases):
        ours, theirs = rng.random((seeds, rows)) < 0.7, rng.random((seeds, rows)) < 0.6
        one = difference(ours.mean(1), ours @ weights.T, theirs.mean(1), theirs @ weights.T)
        held += one.low <= 0.1 <= one.high
    assert 0.91 < held / cases < 0.98


@pytest.mark.parametrize("seeds", [FEWEST, 5])
@pytest.mark.parametrize("of_rows", [0.0, 0.5, 3.0])
def test_intervals_hold_the_truth_as_often_as_they_say(seeds, of_rows):
    """Normal draws: of seeds, and of rows that all seeds share."""
    rng, cases = np.random.default_rng(5), 800
    draws = rng.normal(0, of_rows, size=1000)
    draws -= draws.mean()
    held = 0
    for _ in range(cases):
        one = _shifted(0.3 + rng.normal(0, of_rows) + rng.normal(0, 1.0, size=seeds), draws)
        held += one.low <= 0.3 <= one.high
    assert 0.915 < held / cases < 0.975


def test_a_difference_is_paired():
    """What seeds and rows share falls out; the interval of one that is constant is a point."""
    rng = np.random.default_rng(6)
    baseline, drawn = rng.normal(size=5), rng.normal(size=(5, 100))
    found = difference(baseline + 0.5, drawn + 0.5, baseline, drawn)
    assert found[:4] == (5, pytest.approx(0.5), pytest.approx(0.5), pytest.approx(0.5))
    assert found.sign == "+"
    assert difference(baseline, drawn, baseline, drawn) == (5, 0, 0, 0, None)
    assert difference(baseline, drawn, baseline, drawn).sign == "0"


@pytest.mark.parametrize("seeds", range(1, FEWEST))
def test_few_seeds_have_no_interval(seeds):
    """Their range would hold the truth far less often than it says."""
    found = difference(np.ones(seeds), np.ones((seeds, 1)), np.zeros(seeds), np.zeros((seeds, 1)))
    assert found == (seeds, 1.0, None, None, None)
    assert found.sign == "0"


def test_the_detectable_difference_is_found_in_four_of_five_experiments():
    """By Student's paired test of SciPy; and two values of Cohen's tables (d of 5 and 20 pairs)."""
    assert noncentrality(4) / 5**0.5 == pytest.approx(1.68, abs=0.01)
    assert noncentrality(19) / 20**0.5 == pytest.approx(0.66, abs=0.01)
    rng, scale = np.random.default_rng(8), 2.0
    true = noncentrality(5) * scale / 6**0.5
    experiments = rng.normal(true, scale, size=(4000, 6))
    found = stats.ttest_1samp(experiments, 0, axis=1).pvalue < 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.025)


def test_the_rows_count_in_what_is_detectable():
    found = np.array([0.1, 0.2, 0.3])
    alone = _shifted(found, np.zeros(1)).detectable
    assert alone == pytest.approx(noncentrality(2) * found.std(ddof=1) / 3**0.5)
    noise = np.random.default_rng(9).normal(0, 1, size=100)
    expected = noncentrality(1e6) * noise.std(ddof=1)
    assert _shifted(found, noise).detectable == pytest.approx(expected, rel=0.02)
