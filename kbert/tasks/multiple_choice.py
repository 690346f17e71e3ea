"""Multiple choice: which of several texts goes on best (SWAG in section 4.4 of the BERT paper).

    [CLS] context [SEP] question choice [SEP]      for each choice
    pooled_output -> dropout -> dense -> one score; softmax over the choices

Files: see kbert/tasks/readers/choice_files.py.
"""

import collections
import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from kbert.errors import DataError
from kbert.metrics.probabilities import log_loss
from kbert.settings import setting
from kbert.tasks.base import Task
from kbert.tasks.features import Feature, stack
from kbert.tasks.heads import output_layer
from kbert.tasks.readers.bad_rows import BadRows, check_any_left
from kbert.tasks.readers.choice_files import ChoiceExample, from_object, read_choices
from kbert.tasks.readers.objects import parse_object
from kbert.tasks.texts import tokenize

# Examples given to the tokenizer at once.
CHUNK = 256
# Of one instance, which is computed at once: a request shall not take all memory.
MOST_CHOICES = 256


@dataclasses.dataclass(frozen=True)
class MultipleChoiceTask(Task):
    """One of several choices, as many as each row has.

    Args:
        dropout: rate before the output layer.
        sequence_length: tokens of context, question and one choice; of longer ones the longer text
            loses its end.
        label_smoothing: share of the right choice that the loss gives to all of its row alike.
    """

    name = "choice"
    links: ClassVar = {"logits": "softmax"}
    metric_names = ("accuracy", "loss")
    takes_choices = True

    dropout: float = output_layer.dropout_setting()
    sequence_length: int = setting(
        128, "tokens of context, question and one choice; longer ones are cut", at_least=8
    )
    label_smoothing: float = output_layer.label_smoothing_setting()

    def read_examples(
        self, path: str | pathlib.Path, labelled: bool = True, bad: BadRows | None = None
    ) -> list[ChoiceExample]:
        bad = BadRows() if bad is None else bad
        examples = list(read_choices(path, labelled, bad))
        check_any_left(examples, bad, path)
        return examples

    def begins_rows(self, line: str) -> bool:
        """Always: no line of text is a context with its choices."""
        return True

    def parse(self, instance: str | Mapping, where: str) -> ChoiceExample:
        """A JSON object, or a line with one: {"context", "question", "choices"}."""
        if isinstance(instance, str):
            instance = parse_object(instance, where)
        if not isinstance(instance, Mapping) or {*instance, "question"} != {*self.instance_fields}:
            raise DataError(
                f'{where}: expected {{"context": "...", "choices": [...]}}, maybe with '
                f'"question". Received: {str(instance)[:80]}'
            )
        example = from_object(instance, where, labelled=False)
        if len(example.choices) > MOST_CHOICES:
            raise DataError(
                f"{where}: expected {MOST_CHOICES} choices at most. "
                f"Received: {len(example.choices)}."
            )
        return example

    def encode(self, examples: Sequence[ChoiceExample], tokenizer) -> list[Feature]:
        features = []
        for start in range(0, len(examples), CHUNK):
            chunk = examples[start : start + CHUNK]
            contexts = [e.context for e in chunk for _ in e.choices]
            rows, cut = tokenize(tokenizer, contexts, _seconds_of(chunk), self.sequence_length)
            first = 0
            for number, example in enumerate(chunk, start):
                own = slice(first, first + len(example.choices))
                first = own.stop
                targets, weights = _target(example)
                inputs = {
                    name: stack([row[name] for row in rows[own]], len(example.choices))
                    for name in rows[0]
                }  # each (choices, sequence)
                features.append(Feature(inputs, number, targets, weights, bool(cut[own].any())))
        return features

    def build_model(self, encoder):
        """From inputs (batch, choices, sequence) to "logits" (batch, choices), float32."""
        import keras

        from kbert.layers.multiple_choice import ChoiceScores, FoldChoices

        inputs = {
            name: keras.Input((None, None), dtype="int32", name=name) for name in encoder.input
        }
        folded = {name: FoldChoices(name=f"fold_{name}")(x) for name, x in inputs.items()}
        pooled = encoder(folded)["pooled_output"]  # (batch * choices, hidden)
        scores = output_layer.classifier(pooled, 1, self.dropout)
        logits = ChoiceScores(name="scores")(scores, inputs["padding_mask"])
        return keras.Model(inputs, {"logits": logits}, name=self.name)

    def objective(self, outputs: Mapping, targets: Mapping, weights: Mapping) -> dict:
        from kbert.layers.losses import weighted_cross_entropy

        loss, accuracy = weighted_cross_entropy(
            outputs["logits"], targets["label"], weights["label"], self.label_smoothing
        )
        return {"loss": loss, "accuracy": accuracy}

    def decode(
        self,
        outputs: Sequence[Mapping[str, np.ndarray]],
        example: ChoiceExample,
        features: Sequence[Feature] = (),
    ) -> dict:
        """{"label": the number of the likeliest, "choice": its text, "score": its probability,
        "probabilities": of all choices}."""
        # SciPy takes a second to import, and a command's `--help` does not need it.
        from scipy.special import softmax

        logits = np.asarray(outputs[0]["logits"][: len(example.choices)], "float64")
        probabilities = softmax(logits).tolist()
        best = int(np.argmax(probabilities))
        return {
            "label": best,
            "choice": example.choices[best],
            "score": probabilities[best],
            "probabilities": probabilities,
        }

    def metrics(self, answers: Sequence[Mapping], examples: Sequence[ChoiceExample]) -> dict:
        """accuracy; loss: the mean cross-entropy; chance: the accuracy of guessing."""
        pairs = list(zip(answers, examples, strict=True))
        right = [answer["label"] == example.label for answer, example in pairs]
        likelihood = [answer["probabilities"][example.label] for answer, example in pairs]
        return {
            "accuracy": float(np.mean(right)),
            "loss": log_loss(likelihood),
            "chance": float(np.mean([1 / len(example.choices) for example in examples])),
        }

    def trivial_score(self, examples: Sequence[ChoiceExample]) -> float:
        """The accuracy of the most frequent number."""
        counts = collections.Counter(example.label for example in examples)
        return max(counts.values()) / len(examples)


def _seconds_of(examples: Sequence[ChoiceExample]) -> list[str]:
    """The second text of each choice: the question, where there is one, and the choice."""
    return [
        choice if example.question is None else f"{example.question} {choice}"
        for example in examples
        for choice in example.choices
    ]


def _target(example: ChoiceExample) -> tuple[dict, dict]:
    """The number of the right choice and its weight, (), of a labelled example."""
    if example.label is None:
        return {}, {}
    label = np.asarray(example.label, "int32")
    return {"label": label}, {"label": np.ones((), "float32")}
