"""The metrics of GLUE's tasks (Wang et al., 2019, arXiv:1804.07461, table 1)."""

import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

from kbert.errors import DataError

BINARY = ("0", "1")
TWO_WAY = ("entailment", "not_entailment")
THREE_WAY = ("contradiction", "entailment", "neutral")


class GlueTask(NamedTuple):
    """A task's metrics, and its labels as files spell them; None where the answer is a number."""

    metrics: tuple[str, ...]
    labels: tuple[str, ...] | None


GLUE = {
    "CoLA": GlueTask(("matthews",), BINARY),
    "SST-2": GlueTask(("accuracy",), BINARY),
    "MRPC": GlueTask(("accuracy", "f1"), BINARY),
    "STS-B": GlueTask(("pearson", "spearman"), None),
    "QQP": GlueTask(("accuracy", "f1"), BINARY),
    "MNLI": GlueTask(("accuracy",), THREE_WAY),
    "QNLI": GlueTask(("accuracy",), TWO_WAY),
    "RTE": GlueTask(("accuracy",), TWO_WAY),
    "WNLI": GlueTask(("accuracy",), BINARY),
    "AX": GlueTask(("matthews",), THREE_WAY),
}


def glue_scores(name: str, gold: Sequence[str], predicted: Sequence[str]) -> dict:
    """The scores of one task, 0 to 1 (correlations from -1), and rows.

    Args:
        name: a key of `GLUE`.
        gold, predicted: labels, or numbers as text, in one order.

    Raises DataError where there is nothing to score, or one answer has no other.
    """
    if not gold or len(gold) != len(predicted):
        raise DataError(
            f"Expected as many predictions as answers, one at least. Received: {len(predicted)} "
            f"predictions, {len(gold)} answers."
        )
    if GLUE[name].labels is None:
        gold, predicted = list(map(float, gold)), list(map(float, predicted))
    return {metric: METRICS[metric](gold, predicted) for metric in GLUE[name].metrics} | {
        "rows": len(gold)
    }


def accuracy(gold, predicted) -> float:
    """The share of right labels."""
    from sklearn import metrics

    return float(metrics.accuracy_score(gold, predicted))


def f1(gold, predicted) -> float:
    """Of the label "1"; 0 where it is neither in the data nor predicted."""
    from sklearn import metrics

    return float(metrics.f1_score(gold, predicted, pos_label="1", zero_division=0))


def matthews(gold, predicted) -> float:
    """Matthews correlation; 0 where all labels are one. For three labels Gorodkin's R_K."""
    from sklearn import metrics

    # With one label throughout, scikit-learn gives 0 too, but warns.
    if len({*gold, *predicted}) < 2:
        return 0.0
    return float(metrics.matthews_corrcoef(gold, predicted))


def pearson(gold, predicted) -> float:
    """Pearson's correlation; 0 where one side is constant, which has none."""
    from scipy import stats

    return correlation(stats.pearsonr, gold, predicted)


def spearman(gold, predicted) -> float:
    """Spearman's rank correlation, ties by mean ranks; 0 where one side is constant."""
    from scipy import stats

    return correlation(stats.spearmanr, gold, predicted)


def correlation(of: Callable, gold, predicted) -> float:
    if len(set(gold)) < 2 or len(set(predicted)) < 2:
        return 0.0
    with warnings.catch_warnings():
        # SciPy warns of values that hardly differ, with which its answer is inexact.
        warnings.simplefilter("ignore")
        return float(of(gold, predicted).statistic)


METRICS = {
    "accuracy": accuracy,
    "f1": f1,
    "matthews": matthews,
    "pearson": pearson,
    "spearman": spearman,
}
