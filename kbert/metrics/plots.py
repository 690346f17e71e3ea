"""Pictures of scores, where matplotlib is installed."""

import io
import os
import pathlib
from typing import NamedTuple

import numpy as np

from kbert.errors import DataError
from kbert.files import check_writable, replacing
from kbert.metrics.calibration import reliability

FORMATS = (".png", ".svg", ".pdf")
_DPI = 110
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


def check_plot(path: str | os.PathLike) -> None:
    """Raise `DataError` unless a picture can be written there."""
    if pathlib.Path(path).suffix not in FORMATS:
        raise DataError(f"A picture must end in {', '.join(FORMATS)}. Received: {path}.")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise DataError('A picture needs matplotlib: pip install "kbert[plots]".') from None
    check_writable(path)


def plot_labels(path: str | os.PathLike, found: LabelProbabilities) -> None:
    """Confusion matrix (of exclusive labels), reliability diagram and precision-recall curves."""
    import matplotlib
    from matplotlib.figure import Figure

    drawings = [_draw_reliability, _draw_precision_recall]
    if found.exclusive:
        drawings.insert(0, _draw_confusions)
    figure = Figure((4.6 * len(drawings), 4.2), layout="constrained")
    for draw, axis in zip(drawings, figure.subplots(1, len(drawings)), strict=True):
        draw(axis, found)
    suffix = pathlib.Path(path).suffix
    # No date in the file: the same answers make the same picture.
    nameless = {".png": {"Software": None}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    with replacing(path) as file, matplotlib.rc_context({"svg.hashsalt": "kbert"}):
        figure.savefig(file, format=suffix[1:], dpi=_DPI, metadata=nameless[suffix])


def confusions_png(found: LabelProbabilities) -> tuple[bytes, int, int] | None:
    """The confusion matrix of exclusive labels: PNG, width, height; None without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return None
    inches, stream = 4, io.BytesIO()
    figure = Figure((inches, inches), layout="constrained")
    _draw_confusions(figure.subplots(), found)
    figure.savefig(stream, format="png", dpi=_DPI, metadata={"Software": None})
    return stream.getvalue(), inches * _DPI, inches * _DPI


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
