"""Scores of a classifier, computed by scikit-learn."""

from collections.abc import Mapping, Sequence

import numpy as np
from sklearn import metrics

from kbert.metrics.layout import aligned

# Columns of a terminal that a confusion matrix may take.
WIDEST = 100


def classification_scores(
    gold: Sequence[str], predicted: Sequence[str], labels: Sequence[str]
) -> dict:
    """Accuracy, F1, Matthews correlation and the confusion matrix, ready for JSON.

    Args:
        gold: the right label of each example.
        predicted: the classifier's, in the same order.
        labels: all label names. Of two, the last is the positive class ("1" of "0" and "1").

    Returns:
        accuracy: share of right answers (micro-averaged F1 is the same number).
        f1: of the positive class where there are two labels, otherwise `f1_macro`.
        f1_macro: mean F1 of the labels that are in the data or predicted.
        matthews: Matthews correlation, -1 to 1; 0 when all predictions are one label.
            With more than two labels Gorodkin's R_K (doi:10.1016/j.compbiolchem.2004.09.006).
        labels: as given; the order of what follows.
        confusion_matrix: rows are the right labels, columns the predicted ones.
        per_label: label -> precision, recall, f1, support (rows with that label).
    """
    labels = list(labels)
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        gold, predicted, labels=labels, zero_division=0
    )
    occurs = np.isin(labels, [*gold, *predicted])
    f1_macro = float(f1[occurs].mean())
    # With one label throughout, scikit-learn gives 0 too, but warns.
    varied = len({*gold, *predicted}) > 1
    return {
        "accuracy": float(metrics.accuracy_score(gold, predicted)),
        "f1": float(f1[-1]) if len(labels) == 2 else f1_macro,
        "f1_macro": f1_macro,
        "matthews": float(metrics.matthews_corrcoef(gold, predicted)) if varied else 0.0,
        "labels": labels,
        "confusion_matrix": metrics.confusion_matrix(gold, predicted, labels=labels).tolist(),
        "per_label": {
            label: {
                "precision": float(precision[i]),
                "recall": float(recall[i]),
                "f1": float(f1[i]),
                "support": int(support[i]),
            }
            for i, label in enumerate(labels)
        },
    }


def format_confusions(scores: Mapping) -> str:
    """The confusion matrix of `classification_scores`; of many labels a line for each instead."""
    labels = scores["labels"]
    pairs = zip(labels, scores["confusion_matrix"], strict=True)
    matrix = aligned([["right \\ predicted", *labels], *([label, *row] for label, row in pairs)])
    if all(len(line) <= WIDEST for line in matrix.splitlines()):
        return matrix
    header = ("precision", "recall", "f1", "support")
    rows = [
        [label, *(f"{values[name]:.4f}" for name in header[:3]), values["support"]]
        for label, values in scores["per_label"].items()
    ]
    return aligned([["", *header], *rows])
