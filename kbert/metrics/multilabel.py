"""Scores of several labels a row, computed by scikit-learn."""

from collections.abc import Collection, Sequence

import numpy as np
from sklearn import metrics


def multilabel_scores(
    gold: Sequence[Collection[str]], predicted: Sequence[Collection[str]], labels: Sequence[str]
) -> dict:
    """Precision, recall and F1 over all decisions and label by label, ready for JSON.

    Args:
        gold: the right labels of each example; none, one or more.
        predicted: the classifier's, in the same order.
        labels: all label names.

    Returns:
        f1_micro, precision, recall: over all (example, label) decisions together.
        f1_macro: mean of each label's F1; 0 for a label that is neither in the data nor predicted.
        accuracy: share of examples all of whose labels are right.
        per_label: label -> precision, recall, f1, support (rows with that label).
    """
    gold, predicted = _indicators(gold, labels), _indicators(predicted, labels)
    # scikit-learn takes a single column for two classes: its label is the second.
    options = {"labels": [1] if len(labels) == 1 else None, "zero_division": 0}
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        gold, predicted, average=None, **options
    )
    micro = metrics.precision_recall_fscore_support(gold, predicted, average="micro", **options)
    return {
        "f1_micro": float(micro[2]),
        "f1_macro": float(f1.mean()),
        "precision": float(micro[0]),
        "recall": float(micro[1]),
        "accuracy": float((gold == predicted).all(axis=1).mean()),
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


def _indicators(rows: Sequence[Collection[str]], labels: Sequence[str]) -> np.ndarray:
    """1 where a row has a label: int (rows, labels)."""
    return np.array([[label in row for label in labels] for row in rows], int)
