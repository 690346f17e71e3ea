"""Scores of predicted numbers, computed by SciPy."""

import warnings
from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats


def regression_scores(gold: Sequence[float], predicted: Sequence[float]) -> dict:
    """Correlations and the squared error, ready for JSON.

    Returns:
        pearson, spearman: -1 to 1; 0 where they are not defined: fewer than two rows, or one
            number throughout.
        loss: the mean squared error.
    """
    gold, predicted = np.asarray(gold, "float64"), np.asarray(predicted, "float64")
    return {
        "pearson": _correlation(stats.pearsonr, gold, predicted),
        "spearman": _correlation(stats.spearmanr, gold, predicted),
        "loss": float(np.mean((gold - predicted) ** 2)),
    }


def _correlation(of: Callable, gold: np.ndarray, predicted: np.ndarray) -> float:
    if min(len(np.unique(gold)), len(np.unique(predicted))) < 2:
        return 0.0
    with warnings.catch_warnings():
        # SciPy warns of values that hardly differ, with which its answer is inexact.
        warnings.simplefilter("ignore")
        return float(of(gold, predicted).statistic)
