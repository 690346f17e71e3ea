"""Multi-label classification: none, one or several labels for a text or a pair of texts.

    head -> dropout -> dense -> logits, one for each label, each with its own sigmoid

A label column holds names with a separator between them ("sport,music"), or a list in JSON; an
empty cell or list is a text to which no label applies.
"""

import collections
import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from kbert.errors import DataError
from kbert.files import JSON_ERRORS
from kbert.metrics.probabilities import log_loss
from kbert.settings import setting
from kbert.tasks.features import Feature
from kbert.tasks.readers.bad_rows import BadRows, with_known_labels
from kbert.tasks.readers.labels import check_column, sort_labels
from kbert.tasks.texts import TextExample, TextTask

if TYPE_CHECKING:
    from kbert.metrics.plots import LabelProbabilities


@dataclasses.dataclass(frozen=True)
class MultiLabelTask(TextTask):
    """Any number of labels for a text or a pair of texts.

    Args, besides those of TextTask:
        labels: their names, found in the training file by `prepare`.
        label_separator: what stands between the labels in a cell.
        threshold: a label applies where its probability is at least so high.
    """

    name = "multilabel"
    metric_names = ("f1_micro", "f1_macro", "accuracy", "loss")
    output_settings = ("labels",)
    links: ClassVar = {"logits": "sigmoid"}
    has_plot = True
    labels_are_lists = True

    labels: tuple[str, ...] = ()
    label_separator: str = setting(",", "between the labels in a cell; a list in JSON needs none")
    threshold: float = setting(0.5, "probability from which on a label applies", above=0, below=1)

    def __post_init__(self):
        super().__post_init__()
        if not self.label_separator:
            raise DataError("label_separator must be a character at least. It is empty.")

    def parse_label(self, cell: str, where: str) -> tuple[str, ...]:
        cell = cell.strip()
        names = cell.split(self.label_separator) if cell else []
        if cell.startswith("["):
            try:
                names = json.loads(cell)
            except JSON_ERRORS as error:
                raise DataError(f"{where}: expected a list of labels in JSON: {error}.") from error
        if not all(isinstance(name, str) and name.strip() for name in names):
            raise DataError(
                f"{where}: expected labels that are not empty. Received: {cell[:60]!r}."
            )
        names = tuple(name.strip() for name in names)
        if len(set(names)) < len(names):
            raise DataError(f"{where}: expected each label once. Received: {cell[:60]!r}.")
        return names

    def known_labels(self, examples: Sequence[TextExample], bad: BadRows) -> Sequence[TextExample]:
        if not self.labels:
            return examples
        return with_known_labels(examples, self.labels, lambda example: example.label, bad)

    def prepare(self, examples: Sequence[TextExample], where: str) -> "MultiLabelTask":
        counts = collections.Counter(label for example in examples for label in example.label)
        if not counts:
            raise DataError(f"{where}: expected labels. No row has one.")
        column = f"{self.label_column!r}, with {self.label_separator!r} between labels,"
        check_column(counts, len(examples), where, column)
        return dataclasses.replace(self, labels=sort_labels(counts))

    def target(self, example: TextExample) -> tuple[dict, dict]:
        """Which labels apply, 0 or 1, (labels,), and the example's weight, ()."""
        if example.label is None:
            return {}, {}
        applies = np.array([label in example.label for label in self.labels], "float32")
        return {"labels": applies}, {"labels": np.ones((), "float32")}

    def build_model(self, encoder):
        """Adds the output "logits" (batch, labels), float32 in every precision."""
        return self.build_on_head(encoder, "logits", len(self.labels))

    def objective(self, outputs: Mapping, targets: Mapping, weights: Mapping) -> dict:
        """The mean over the labels of each label's cross-entropy."""
        from keras import ops

        logits = ops.cast(outputs["logits"], "float32")  # (batch, labels)
        losses = ops.binary_crossentropy(targets["labels"], logits, from_logits=True)
        return {"loss": ops.sum(weights["labels"] * ops.mean(losses, axis=-1))}

    def decode(
        self,
        outputs: Sequence[Mapping[str, np.ndarray]],
        example: TextExample,
        features: Sequence[Feature] = (),
    ) -> dict:
        """{"labels": those that apply, the likeliest first, "probabilities": of all labels}."""
        # SciPy takes a second to import, and a command's `--help` does not need it.
        from scipy.special import expit

        values = expit(np.asarray(outputs[0]["logits"], "float64")).tolist()  # (labels,)
        probabilities = dict(zip(self.labels, values, strict=True))
        applying = [label for label in self.labels if probabilities[label] >= self.threshold]
        applying.sort(key=lambda label: -probabilities[label])
        return {"labels": applying, "probabilities": probabilities}

    def label_probabilities(
        self, answers: Sequence[Mapping], examples: Sequence[TextExample]
    ) -> "LabelProbabilities":
        from kbert.metrics.plots import LabelProbabilities

        is_right = np.array(
            [[label in example.label for label in self.labels] for example in examples]
        )
        found = np.array(
            [[answer["probabilities"][label] for label in self.labels] for answer in answers]
        )
        return LabelProbabilities(self.labels, is_right, found, exclusive=False)

    def trivial_score(self, examples: Sequence[TextExample]) -> float:
        """Micro F1 of answering the most frequent labels, as many as are best, to every text."""
        counts = collections.Counter(label for example in examples for label in example.label)
        frequent = np.sort(list(counts.values()))[::-1]
        said = np.arange(1, len(frequent) + 1) * len(examples)
        return float(max(2 * frequent.cumsum() / (said + frequent.sum()), default=0.0))

    def metrics(self, answers: Sequence[Mapping], examples: Sequence[TextExample]) -> dict:
        # scikit-learn takes seconds to import, and only scores need it.
        from kbert.metrics.multilabel import multilabel_scores

        gold = [example.label for example in examples]
        found = [
            [answer["probabilities"][label] for label in self.labels] for answer in answers
        ]  # (rows, labels)
        right = np.where(
            [[label in labels for label in self.labels] for labels in gold],
            found,
            1 - np.array(found),
        )
        scores = multilabel_scores(gold, [answer["labels"] for answer in answers], self.labels)
        return scores | {"loss": log_loss(right)}
