"""Pictures of scores, where matplotlib is installed."""

import os
from typing import NamedTuple

import numpy as np

from kbert.figures import Png, can_draw, drawing, png_of, save_picture
from kbert.metrics.calibration import reliability

# Curves in one picture that can be told apart.
MOST_CURVES = 10
# Labels of a confusion matrix whose numbers can be read.
_MOST_NUMBERS = 20


class LabelProbabilities(NamedTuple):
    """What a model said of each label of each row, and what is right.

    Attributes:
        labels: their names.
        is_right: booleans (rows, labels).
        probabilities: (rows, labels).
        exclusive: whether a row has exactly one label.
    """

    labels: tuple[str, ...]
    is_right: np.ndarray
    probabilities: np.ndarray
    exclusive: bool


def plot_labels(path: str | os.PathLike, found: LabelProbabilities) -> None:
    """Confusion matrix (of exclusive labels), reliability diagram and precision-recall curves."""
    draws = [_draw_reliability, _draw_precision_recall]
    if found.exclusive:
        draws.insert(0, _draw_confusions)
    with drawing(4.6 * len(draws), 4.2) as figure:
        for draw, axis in zip(draws, figure.subplots(1, len(draws)), strict=True):
            draw(axis, found)
        save_picture(path, figure)


def confusions_png(found: LabelProbabilities) -> Png | None:
    """The confusion matrix of exclusive labels; None without matplotlib."""
    if not can_draw():
        return None
    with drawing(4, 4) as figure:
        _draw_confusions(figure.subplots(), found)
        return png_of(figure)


def frequent_labels(found: LabelProbabilities) -> list[int]:
    """The numbers of the labels with the most rows, as many as curves can be told apart."""
    counts = found.is_right.sum(axis=0)
    return [int(n) for n in np.argsort(-counts, kind="stable") if counts[n]][:MOST_CURVES]


def confidences(found: LabelProbabilities) -> tuple[np.ndarray, np.ndarray]:
    """The probability of each answer, and whether it is right; (answers,) each.

    Of exclusive labels the likeliest of a row is an answer, otherwise every label is one: that it
    applies, with the probability that it does.
    """
    if not found.exclusive:
        return found.probabilities.ravel(), found.is_right.ravel()
    best = found.probabilities.argmax(axis=1)
    rows = np.arange(len(best))
    return found.probabilities[rows, best], found.is_right[rows, best]


def _draw_confusions(axis, found):
    from sklearn.metrics import confusion_matrix

    count = len(found.labels)
    pair = found.is_right.argmax(axis=1), found.probabilities.argmax(axis=1)
    matrix = confusion_matrix(*pair, labels=range(count))
    # Of the rows of each right label: a rare label is seen, too.
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axis.set_xticks(range(count), found.labels, rotation=45, ha="right")
    axis.set_yticks(range(count), found.labels)
    axis.set(title="Confusion matrix", xlabel="predicted", ylabel="right")
    for (row, column), number in np.ndenumerate(matrix):
        if count <= _MOST_NUMBERS:
            color = "white" if shares[row, column] > 0.6 else "black"
            axis.text(column, row, str(number), ha="center", va="center", color=color)


def _draw_reliability(axis, found):
    bins = reliability(*confidences(found))
    axis.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    axis.bar(bins.confidence, bins.accuracy, width=0.06, color="C0")
    axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="mean probability", ylabel="share that is right")
    axis.set_title(f"Reliability, expected calibration error {bins.expected_error:.3f}", size=10)


def _draw_precision_recall(axis, found):
    from sklearn.metrics import average_precision_score, precision_recall_curve

    for n in frequent_labels(found):
        pair = found.is_right[:, n], found.probabilities[:, n]
        precision, recall, _ = precision_recall_curve(*pair)
        mean = average_precision_score(*pair)
        axis.step(recall, precision, where="post", label=f"{found.labels[n]} ({mean:.3f})")
    axis.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
    axis.set_title("Precision and recall (average precision)", size=10)
    axis.legend(fontsize=8, loc="lower left")
