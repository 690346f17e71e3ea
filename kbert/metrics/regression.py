"""Scores of predicted numbers, computed by SciPy."""

from collections.abc import Sequence

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
    # SciPy gives NaN then, and warns.
    varied = min(len(np.unique(gold)), len(np.unique(predicted))) > 1
    return {
        "pearson": float(stats.pearsonr(gold, predicted).statistic) if varied else 0.0,
        "spearman": float(stats.spearmanr(gold, predicted).statistic) if varied else 0.0,
        "loss": float(np.mean((gold - predicted) ** 2)),
    }
