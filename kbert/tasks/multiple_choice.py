"""Multiple choice: which of several texts goes on best (SWAG in section 4.4 of the BERT paper).

    [CLS] context [SEP] question choice [SEP]      for each choice
    pooled_output -> dropout -> dense -> one score; softmax over the choices

Files: see kbert/tasks/choice_files.py.
"""

import argparse
import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from kbert.data.examples import Feature, stack
from kbert.errors import DataError
from kbert.tasks.bad_rows import BadRows, check_any_left
from kbert.tasks.base import Task
from kbert.tasks.choice_files import ChoiceExample, from_object, read_choices
from kbert.tasks.texts import output_layer, tokenize

# Examples given to the tokenizer at once.
CHUNK = 256


@dataclasses.dataclass(frozen=True)
class MultipleChoiceTask(Task):
    """One of several choices, as many as each row has.

    Args:
        dropout: rate before the output layer.
        sequence_length: tokens of context, question and one choice; of longer ones the longer text
            loses its end.
    """

    name = "choice"
    metric_names = ("accuracy", "loss")
    serves_texts = False

    dropout: float = 0.1
    sequence_length: int = 128

    def __post_init__(self):
        if not 0 <= self.dropout < 1:
            raise DataError(f"Expected a dropout from 0 up to 1. Received: {self.dropout}.")
        if self.sequence_length < 8:
            raise DataError(
                f"Expected a sequence length of at least 8. Received: {self.sequence_length}."
            )

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--dropout", type=float, default=cls.dropout, help="rate before the output layer"
        )
        parser.add_argument(
            "--sequence-length",
            type=int,
            default=cls.sequence_length,
            help="tokens of context, question and one choice; longer ones are cut",
        )

    def read_examples(
        self, path: str | pathlib.Path, labelled: bool = True, bad: BadRows | None = None
    ) -> list[ChoiceExample]:
        bad = BadRows() if bad is None else bad
        examples = list(read_choices(path, labelled, bad))
        check_any_left(examples, bad, path)
        return examples

    def parse(self, instance: str | Mapping, where: str) -> ChoiceExample:
        """A JSON object, or a line with one: {"context", "question", "choices"}."""
        if isinstance(instance, str):
            try:
                instance = json.loads(instance)
            except json.JSONDecodeError as error:
                raise DataError(f"{where}: expected one JSON object a line: {error}.") from error
        keys = {"context", "choices"}
        if not isinstance(instance, Mapping) or set(instance) - {"question"} != keys:
            raise DataError(
                f'{where}: expected {{"context": "...", "choices": [...]}}, maybe with '
                f'"question". Received: {str(instance)[:80]}'
            )
        return from_object(instance, where, labelled=False)

    def encode(self, examples: Sequence[ChoiceExample], tokenizer) -> list[Feature]:
        features = []
        for start in range(0, len(examples), CHUNK):
            chunk = examples[start : start + CHUNK]
            contexts = [e.context for e in chunk for _ in e.choices]
            rows, cut = tokenize(tokenizer, contexts, seconds_of(chunk), self.sequence_length)
            first = 0
            for number, example in enumerate(chunk, start):
                own = slice(first, first + len(example.choices))
                first = own.stop
                targets, weights = target(example)
                inputs = {
                    name: stack([row[name] for row in rows[own]], len(example.choices))
                    for name in rows[0]
                }  # each (choices, sequence)
                features.append(Feature(inputs, number, targets, weights, bool(cut[own].any())))
        return features

    def build_model(self, encoder):
        """From inputs (batch, choices, sequence) to "logits" (batch, choices), float32."""
        import keras

        from kbert.layers.choices import ChoiceScores, FoldChoices

        inputs = {
            name: keras.Input((None, None), dtype="int32", name=name) for name in encoder.input
        }
        folded = {name: FoldChoices(name=f"fold_{name}")(x) for name, x in inputs.items()}
        x = encoder(folded)["pooled_output"]  # (batch * choices, hidden)
        x = keras.layers.Dropout(self.dropout, name="classifier_dropout")(x)
        logits = ChoiceScores(name="scores")(output_layer(1)(x), inputs["padding_mask"])
        return keras.Model(inputs, {"logits": logits}, name=self.name)

    def objective(self, outputs: Mapping, targets: Mapping, weights: Mapping) -> dict:
        import keras
        from keras import ops

        logits = ops.cast(outputs["logits"], "float32")  # (batch, choices)
        label, weight = targets["label"], weights["label"]  # (batch,)
        losses = keras.losses.sparse_categorical_crossentropy(label, logits, from_logits=True)
        right = ops.equal(ops.cast(ops.argmax(logits, axis=-1), "int32"), ops.cast(label, "int32"))
        return {
            "loss": ops.sum(weight * losses),
            "accuracy": ops.sum(weight * ops.cast(right, "float32")),
        }

    def decode(
        self,
        outputs: Sequence[Mapping[str, np.ndarray]],
        example: ChoiceExample,
        features: Sequence[Feature] = (),
    ) -> dict:
        """{"label": the number of the likeliest, "choice": its text, "score": its probability,
        "probabilities": of all choices}."""
        logits = np.asarray(outputs[0]["logits"][: len(example.choices)], "float64")
        exponentials = np.exp(logits - logits.max())
        probabilities = (exponentials / exponentials.sum()).tolist()
        best = int(np.argmax(logits))
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
        # A probability may underflow to 0; the smallest float keeps the logarithm finite.
        losses = -np.log(np.maximum(likelihood, np.finfo("float64").tiny))
        return {
            "accuracy": float(np.mean(right)),
            "loss": float(losses.mean()),
            "chance": float(np.mean([1 / len(example.choices) for example in examples])),
        }


def seconds_of(examples: Sequence[ChoiceExample]) -> list[str]:
    """The second text of each choice: the question, where there is one, and the choice."""
    return [
        choice if example.question is None else f"{example.question} {choice}"
        for example in examples
        for choice in example.choices
    ]


def target(example: ChoiceExample) -> tuple[dict, dict]:
    """The number of the right choice and its weight, (), of a labelled example."""
    if example.label is None:
        return {}, {}
    label = np.asarray(example.label, "int32")
    return {"label": label}, {"label": np.ones((), "float32")}
