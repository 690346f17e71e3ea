"""Regression: a number for a text or a pair of texts (STS-B in section 4.1 of the BERT paper).

    head -> dropout -> dense -> value

The model learns (number - mean) / deviation of the training file's numbers, whatever their range:
a new output layer begins near 0, and would take its first hundreds of steps to find the mean.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from kbert.errors import DataError
from kbert.tasks.features import Feature
from kbert.tasks.readers.labels import parse_number
from kbert.tasks.texts import TextExample, TextTask


@dataclasses.dataclass(frozen=True)
class RegressionTask(TextTask):
    """A number for a text or a pair of texts: a similarity from 0 to 5, say.

    Args, besides those of TextTask:
        mean, deviation: of the training file's numbers, found by `prepare`.
    """

    name = "regression"
    metric_names = ("pearson", "spearman", "loss")
    output_settings = ("mean", "deviation")
    links: ClassVar = {"value": "identity"}

    mean: float = 0.0
    deviation: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        if not self.deviation > 0:
            raise DataError(f"deviation must be above 0. Received: {self.deviation}.")

    def parse_label(self, cell: str, where: str) -> float:
        return parse_number(cell, where)

    def prepare(self, examples: Sequence[TextExample], where: str) -> "RegressionTask":
        numbers = [example.label for example in examples]
        deviation = float(np.std(numbers))
        if not deviation > 0:
            raise DataError(f"{where}: expected different numbers. All are {numbers[0]}.")
        return dataclasses.replace(self, mean=float(np.mean(numbers)), deviation=deviation)

    def target(self, example: TextExample) -> tuple[dict, dict]:
        """The number in training's deviations from its mean, ()."""
        if example.label is None:
            return {}, {}
        value = (example.label - self.mean) / self.deviation
        return {"value": np.asarray(value, "float32")}, {"value": np.ones((), "float32")}

    def build_model(self, encoder):
        """Adds the output "value" (batch, 1), float32 in every precision."""
        return self.build_on_head(encoder, "value", 1)

    def objective(self, outputs: Mapping, targets: Mapping, weights: Mapping) -> dict:
        from keras import ops

        value = ops.cast(outputs["value"], "float32")[..., 0]  # (batch,)
        return {"loss": ops.sum(weights["value"] * ops.square(value - targets["value"]))}

    def decode(
        self,
        outputs: Sequence[Mapping[str, np.ndarray]],
        example: TextExample,
        features: Sequence[Feature] = (),
    ) -> dict:
        """{"value": the number}."""
        return {"value": self.mean + self.deviation * float(outputs[0]["value"][0])}

    def metrics(self, answers: Sequence[Mapping], examples: Sequence[TextExample]) -> dict:
        # SciPy takes a second to import, and only scores need it.
        from kbert.metrics.regression import regression_scores

        gold = [example.label for example in examples]
        scores = regression_scores(gold, [answer["value"] for answer in answers])
        # The loss as training has it, so that the two compare; the error in the file's own units.
        error = scores.pop("loss")
        return {**scores, "loss": error / self.deviation**2, "squared_error": error}

    def report(self, metrics: Mapping) -> str:
        error = metrics["squared_error"]
        return f"{super().report(metrics)}\nsquared error, in the file's units: {error:.4f}"
