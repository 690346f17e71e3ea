"""Reliability by the definition, and beside scikit-learn's calibration curve."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from kbert.metrics.calibration import reliability

answers = st.lists(
    st.tuples(st.floats(0, 1, width=32), st.booleans()), min_size=1, max_size=60
).filter(lambda found: len({right for _, right in found}) == 2)


@given(answers, st.integers(1, 12))
def test_bins_are_scikit_learns(found, bins):
    confidence, is_right = map(np.array, zip(*found, strict=True))
    accuracy, mean = calibration_curve(is_right, confidence, n_bins=bins)
    result = reliability(confidence, is_right, bins)
    np.testing.assert_allclose(result.accuracy, accuracy)
    np.testing.assert_allclose(result.confidence, mean)
    assert result.count.sum() == len(found)


@pytest.mark.parametrize(
    ("confidence", "is_right", "expected"),
    [
        ([1.0, 1.0], [True, True], 0.0),
        ([1.0, 1.0], [True, False], 0.5),
        # 0.95 of two, one right: |0.5 - 0.95| of two thirds; 0.25, wrong, of a third.
        ([0.95, 0.95, 0.25], [True, False, False], 0.45 * 2 / 3 + 0.25 / 3),
        ([0.0], [True], 1.0),
    ],
)
def test_expected_error_by_hand(confidence, is_right, expected):
    assert reliability(confidence, is_right).expected_error == pytest.approx(expected)


def test_nothing_is_no_answer():
    with pytest.raises(ValueError, match="an answer at least"):
        reliability([], [])
