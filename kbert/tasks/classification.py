"""Classification of a text or a pair of texts into one of several labels (BERT paper, section 4.1).

head -> dropout -> dense -> logits, one for each label
"""

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from kbert.errors import DataError
from kbert.metrics.probabilities import log_loss
from kbert.metrics.tally import Tally, mean_of
from kbert.settings import setting
from kbert.tasks.features import Feature
from kbert.tasks.heads import output_layer
from kbert.tasks.readers.bad_rows import BadRows, quoted, with_known_labels
from kbert.tasks.readers.labels import check_column, sort_labels
from kbert.tasks.texts import TextExample, TextTask

if TYPE_CHECKING:
    from kbert.metrics.plots import LabelProbabilities

BALANCED = "balanced"


@dataclasses.dataclass(frozen=True)
class ClassificationTask(TextTask):
    """One label for a text or a pair of texts.

    Args, besides those of TextTask:
        labels: their names, found in the training file by `prepare`.
        class_weights: label -> how much each of its examples counts in the loss; "balanced" for
            rows / (labels * rows of that label); None for 1.
        label_smoothing: share of the right label that the loss gives to all labels alike.
    """

    name = "classification"
    metric_names = ("accuracy", "f1", "f1_macro", "matthews", "loss")
    output_settings = ("labels",)
    links: ClassVar = {"logits": "softmax"}
    has_plot = True

    labels: tuple[str, ...] = ()
    class_weights: str | Mapping[str, float] | None = setting(
        None,
        "let rare labels count more in the loss: rows / (labels * rows of that label)",
        unset="all count 1",
        choices=(BALANCED,),
    )
    label_smoothing: float = output_layer.label_smoothing_setting()

    def parse_label(self, cell: str, where: str) -> str:
        label = cell.strip()
        if not label:
            raise DataError(f"{where}: expected a label. It is empty.")
        return label

    def known_labels(self, examples: Sequence[TextExample], bad: BadRows) -> Sequence[TextExample]:
        if not self.labels:
            return examples
        return with_known_labels(examples, self.labels, lambda example: [example.label], bad)

    def prepare(self, examples: Sequence[TextExample], where: str) -> "ClassificationTask":
        counts = collections.Counter(example.label for example in examples)
        if len(counts) < 2:
            raise DataError(f"{where}: expected two labels at least. Found: {quoted(counts)}.")
        check_column(counts, len(examples), where, repr(self.label_column))
        weights = self.class_weights
        if weights == BALANCED:
            weights = {
                label: len(examples) / (len(counts) * count) for label, count in counts.items()
            }
        elif weights is not None and set(weights) != set(counts):
            raise DataError(
                f"{where}: class weights are for {quoted(sorted(weights))}; the file has "
                f"{quoted(sorted(counts))}."
            )
        return dataclasses.replace(self, labels=sort_labels(counts), class_weights=weights)

    def target(self, example: TextExample) -> tuple[dict, dict]:
        """The label's number and weight, (), of a labelled example."""
        if example.label is None:
            return {}, {}
        weight = 1.0 if self.class_weights is None else self.class_weights[example.label]
        label = np.asarray(self.labels.index(example.label), "int32")
        return {"label": label}, {"label": np.asarray(weight, "float32")}

    def build_model(self, encoder):
        """Adds the output "logits" (batch, labels), float32 in every precision."""
        return self.build_on_head(encoder, "logits", len(self.labels))

    def objective(self, outputs: Mapping, targets: Mapping, weights: Mapping) -> dict:
        from kbert.layers.losses import weighted_cross_entropy

        loss, accuracy = weighted_cross_entropy(
            outputs["logits"], targets["label"], weights["label"], self.label_smoothing
        )
        return {"loss": loss, "accuracy": accuracy}

    def decode(
        self,
        outputs: Sequence[Mapping[str, np.ndarray]],
        example: TextExample,
        features: Sequence[Feature] = (),
    ) -> dict:
        """{"label": the likeliest, "score": its probability, "probabilities": of all labels}."""
        # SciPy takes a second to import, and a command's `--help` does not need it.
        from scipy.special import softmax

        probabilities = softmax(np.asarray(outputs[0]["logits"], "float64")).tolist()  # (labels,)
        best = int(np.argmax(probabilities))
        return {
            "label": self.labels[best],
            "score": probabilities[best],
            "probabilities": dict(zip(self.labels, probabilities, strict=True)),
        }

    def metrics(self, answers: Sequence[Mapping], examples: Sequence[TextExample]) -> dict:
        # scikit-learn takes seconds to import, and only scores need it.
        from kbert.metrics.classification import classification_scores

        gold = [example.label for example in examples]
        right = [
            answer["probabilities"][label] for answer, label in zip(answers, gold, strict=True)
        ]
        scores = classification_scores(gold, [answer["label"] for answer in answers], self.labels)
        return scores | {"loss": log_loss(right)}

    def tally(
        self, metric: str, answers: Sequence[Mapping], examples: Sequence[TextExample]
    ) -> Tally | None:
        if metric != "accuracy":
            return None
        pairs = zip(answers, examples, strict=True)
        return mean_of([answer["label"] == example.label for answer, example in pairs])

    def label_probabilities(
        self, answers: Sequence[Mapping], examples: Sequence[TextExample]
    ) -> "LabelProbabilities":
        from kbert.metrics.plots import LabelProbabilities

        is_right = np.array(
            [[example.label == label for label in self.labels] for example in examples]
        )
        found = np.array(
            [[answer["probabilities"][label] for label in self.labels] for answer in answers]
        )
        return LabelProbabilities(self.labels, is_right, found, exclusive=True)

    def trivial_score(self, examples: Sequence[TextExample]) -> float:
        """The share of the most frequent label: its accuracy (arXiv 2006.04884)."""
        counts = collections.Counter(example.label for example in examples)
        return max(counts.values()) / len(examples)

    def report(self, metrics: Mapping) -> str:
        from kbert.metrics.classification import format_confusions

        return f"{super().report(metrics)}\n\n{format_confusions(metrics)}"
