"""Classification of a text or a pair of texts into one of several labels (BERT paper, section 4.1).

    pooled_output -> dropout -> dense -> logits, one for each label

Files are TSV, CSV or JSON lines with a text column, maybe a second one, and a label column; see
kbert/tasks/tables.py.
"""

import argparse
import collections
import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from kbert.data.examples import Feature
from kbert.errors import DataError
from kbert.tasks import tables
from kbert.tasks.base import Named, Task

BALANCED = "balanced"
# Texts given to the tokenizer at once: many for its speed, few for the memory of their padding.
CHUNK = 1024


class TextExample(NamedTuple):
    """A text or a pair, and its label where it is known. `where` is its place, for messages."""

    text: str
    second: str | None
    label: str | None
    where: str


@dataclasses.dataclass(frozen=True)
class ClassificationTask(Task):
    """One label for a text or a pair of texts.

    Args:
        labels: their names, found in the training file by `prepare`.
        class_weights: label -> how much each of its examples counts in the loss; "balanced" for
            rows / (labels * rows of that label); None for 1.
        dropout: rate before the output layer (0.1 in the paper).
        sequence_length: longer texts are cut to so many tokens, [CLS] and [SEP] among them.
        text_column, second_column, label_column: column names, or numbers from 0 without a header.
            With a `second_column` the examples are pairs.
        header: whether the first line of a TSV or CSV file names the columns.
    """

    name = "classification"
    metric_names = ("accuracy", "f1", "f1_macro", "matthews", "loss")

    labels: tuple[str, ...] = ()
    class_weights: str | Mapping[str, float] | None = None
    dropout: float = 0.1
    sequence_length: int = 128
    text_column: str = "text"
    second_column: str | None = None
    label_column: str = "label"
    header: bool = True

    def __post_init__(self):
        weights = self.class_weights
        if isinstance(weights, str) and weights != BALANCED:
            raise DataError(f"Class weights are `{BALANCED}` or a dictionary. Received: {weights}.")
        if not 0 <= self.dropout < 1:
            raise DataError(f"Expected a dropout from 0 up to 1. Received: {self.dropout}.")

        if self.sequence_length < 4:
            raise DataError(
                f"Expected a sequence length of at least 4. Received: {self.sequence_length}."
            )

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        columns = parser.add_argument_group(
            "columns", "names in the header or JSON keys; numbers from 0 with --no-header"
        )
        columns.add_argument("--text-column", default=cls.text_column, help="the text")
        columns.add_argument("--second-column", help="the second text, for pairs")
        columns.add_argument("--label-column", default=cls.label_column, help="the label")
        columns.add_argument(
            "--no-header", action="store_true", help="the first line is a row like the others"
        )
        parser.add_argument(
            "--class-weights",
            choices=[BALANCED],
            help="let rare labels count more in the loss: rows / (labels * rows of that label)",
        )
        parser.add_argument(
            "--dropout", type=float, default=cls.dropout, help="rate before the output layer"
        )
        parser.add_argument(
            "--sequence-length",
            type=int,
            default=cls.sequence_length,
            help="tokens of a text, or of both texts of a pair; longer ones are cut",
        )

    @classmethod
    def from_arguments(cls, args: argparse.Namespace) -> "ClassificationTask":
        return cls(
            class_weights=args.class_weights,
            dropout=args.dropout,
            sequence_length=args.sequence_length,
            text_column=args.text_column,
            second_column=args.second_column,
            label_column=args.label_column,
            header=not args.no_header,
        )

    def to_json(self) -> dict:
        return dataclasses.asdict(self) | {"labels": list(self.labels)}

    @classmethod
    def from_json(cls, values: Mapping) -> "ClassificationTask":
        values = {key: value for key, value in values.items() if key != "name"}
        unknown = set(values) - {field.name for field in dataclasses.fields(cls)}
        if unknown:
            raise DataError(f"A {cls.name} task has no setting {', '.join(sorted(unknown))}.")
        return cls(**values | {"labels": tuple(values.get("labels", ()))})

    def with_options(self, **options) -> "ClassificationTask":
        own = ("text_column", "second_column", "label_column", "header")
        changed = {name: options.pop(name) for name in own if options.get(name) is not None}
        if "second_column" in changed and self.second_column is None:
            raise DataError("The model was fine-tuned on single texts: it takes no second column.")
        super().with_options(**options)
        return dataclasses.replace(self, **changed)

    def read_examples(self, path: str | pathlib.Path, labelled: bool = True) -> list[TextExample]:
        columns = {"text": self.text_column}
        if self.second_column is not None:
            columns["second"] = self.second_column
        if labelled:
            columns["label"] = self.label_column
        examples = [
            self.check(
                TextExample(
                    row.cells["text"],
                    row.cells.get("second"),
                    row.cells["label"].strip() if labelled else None,
                    f"{path}, line {row.line}",
                )
            )
            for row in tables.read_rows(path, columns, self.header)
        ]
        if labelled and self.labels:
            self.refuse_unknown_labels(examples)
        return examples

    def check(self, example: TextExample) -> TextExample:
        """Returns the example. Raises DataError for an empty text or label."""
        for part, value in (("text", example.text), ("second text", example.second)):
            if value is not None and not value.strip():
                raise DataError(f"{example.where}: expected a {part}. It is empty.")
        if example.label == "":
            raise DataError(f"{example.where}: expected a label. It is empty.")
        return example

    def refuse_unknown_labels(self, examples: Sequence[TextExample]) -> None:
        unknown = {}
        for example in examples:
            if example.label not in self.labels:
                unknown.setdefault(example.label, example.where)
        if unknown:
            first = next(iter(unknown.values()))
            raise DataError(
                f"{first}: found labels that the training file does not have: "
                f"{quoted(sorted(unknown))}. Expected: {quoted(self.labels)}."
            )

    def parse(self, instance: str | Mapping, where: str) -> TextExample:
        """A line is a text, or for pairs two with a tab between; an object has "text", "second"."""
        keys = ["text"] if self.second_column is None else ["text", "second"]
        if isinstance(instance, str):
            values = instance.split("\t") if len(keys) == 2 else [instance]
            if len(values) != len(keys):
                raise DataError(f"{where}: expected two texts with one tab between them.")
            instance = dict(zip(keys, values, strict=True))
        if (
            not isinstance(instance, Mapping)
            or set(instance) != set(keys)
            or not all(isinstance(value, str) for value in instance.values())
        ):
            wanted = ", ".join(f'"{key}": "..."' for key in keys)
            raise DataError(f"{where}: expected {{{wanted}}}. Received: {str(instance)[:80]}")
        return self.check(TextExample(instance["text"], instance.get("second"), None, where))

    def prepare(self, examples: Sequence[TextExample], where: str) -> "ClassificationTask":
        counts = collections.Counter(example.label for example in examples)
        if len(counts) < 2:
            raise DataError(f"{where}: expected two labels at least. Found: {quoted(counts)}.")
        if len(counts) > 20 and len(counts) > len(examples) / 2:
            raise DataError(
                f"{where}: found {len(counts)} different labels in {len(examples)} rows; "
                f"is {self.label_column!r} the column of labels?"
            )
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

    def encode(self, examples: Sequence[TextExample], tokenizer) -> list[Feature]:
        features = []
        for start in range(0, len(examples), CHUNK):
            chunk = examples[start : start + CHUNK]
            inputs, cut = tokenize(chunk, tokenizer, self.sequence_length)
            for number, example in enumerate(chunk):
                targets, weights = self.target(example)
                features.append(
                    Feature(inputs[number], start + number, targets, weights, bool(cut[number]))
                )
        return features

    def target(self, example: TextExample) -> tuple[dict, dict]:
        """The label's number and weight, (), of a labelled example."""
        if example.label is None:
            return {}, {}
        weight = 1.0 if self.class_weights is None else self.class_weights[example.label]
        label = np.asarray(self.labels.index(example.label), "int32")
        return {"label": label}, {"label": np.asarray(weight, "float32")}

    def build_model(self, encoder):
        """Adds the output "logits" (batch, labels), float32 in every precision."""
        import keras

        pooled = encoder.output["pooled_output"]  # (batch, hidden)
        x = keras.layers.Dropout(self.dropout, name="classifier_dropout")(pooled)
        logits = keras.layers.Dense(
            len(self.labels),
            # As all other weights of BERT (modeling.py and run_classifier.py of google-research).
            kernel_initializer=keras.initializers.TruncatedNormal(stddev=0.02),
            dtype="float32",
            name="classifier",
        )(x)
        return keras.Model(encoder.input, {"logits": logits}, name=self.name)

    def objective(self, outputs: Mapping, targets: Mapping, weights: Mapping) -> dict:
        import keras
        from keras import ops

        logits = ops.cast(outputs["logits"], "float32")  # (batch, labels)
        label, weight = targets["label"], weights["label"]  # (batch,)
        losses = keras.losses.sparse_categorical_crossentropy(label, logits, from_logits=True)
        right = ops.equal(ops.argmax(logits, axis=-1), label)
        return {
            "loss": ops.sum(weight * losses),
            "accuracy": ops.sum(weight * ops.cast(right, "float32")),
        }

    def decode(
        self,
        outputs: Sequence[Mapping[str, np.ndarray]],
        example: TextExample,
        features: Sequence[Feature] = (),
    ) -> dict:
        """{"label": the likeliest, "score": its probability, "probabilities": of all labels}."""
        logits = np.asarray(outputs[0]["logits"], "float64")  # (labels,)
        exponentials = np.exp(logits - logits.max())
        probabilities = (exponentials / exponentials.sum()).tolist()
        best = int(np.argmax(logits))
        return {
            "label": self.labels[best],
            "score": probabilities[best],
            "probabilities": dict(zip(self.labels, probabilities, strict=True)),
        }

    @property
    def takes_pairs(self) -> bool:
        return self.second_column is not None

    def serving_outputs(self, outputs: Mapping) -> dict:
        """As `decode`, with the probabilities (batch, labels) in the order of `labels`."""
        from keras import ops

        logits = ops.cast(outputs["logits"], "float32")
        probabilities = ops.softmax(logits)
        return {
            "label": Named(ops.argmax(logits, axis=-1), self.labels),
            "score": ops.max(probabilities, axis=-1),
            "probabilities": probabilities,
        }

    def metrics(self, answers: Sequence[Mapping], examples: Sequence[TextExample]) -> dict:
        # scikit-learn takes seconds to import, and only scores need it.
        from kbert.metrics.classification import classification_scores

        gold = [example.label for example in examples]
        right = [
            answer["probabilities"][label] for answer, label in zip(answers, gold, strict=True)
        ]
        # A probability may underflow to 0; the smallest float keeps the logarithm finite.
        loss = -np.log(np.maximum(right, np.finfo("float64").tiny)).mean()
        scores = classification_scores(gold, [answer["label"] for answer in answers], self.labels)
        return scores | {"loss": float(loss)}

    def report(self, metrics: Mapping) -> str:
        from kbert.metrics.classification import format_confusion_matrix

        table = format_confusion_matrix(metrics["labels"], metrics["confusion_matrix"])
        return f"{super().report(metrics)}\n\n{table}"


def tokenize(
    examples: Sequence[TextExample], tokenizer, sequence_length: int
) -> tuple[list[dict[str, np.ndarray]], np.ndarray]:
    """The model's inputs of each example, (sequence,) int32 without padding, and which were cut."""
    texts = [example.text for example in examples]
    seconds = None if examples[0].second is None else [example.second for example in examples]
    inputs, lengths = arrays(tokenizer, texts, seconds, sequence_length)
    cut = lengths == sequence_length
    full = np.flatnonzero(cut)
    if full.size:
        # A text that fills the sequence may just fit. It was cut if a longer sequence is filled.
        some = [texts[i] for i in full]
        pairs = None if seconds is None else [seconds[i] for i in full]
        cut[full] = arrays(tokenizer, some, pairs, sequence_length + 1)[1] > sequence_length
    rows = [
        {name: array[row, :length] for name, array in inputs.items()}
        for row, length in enumerate(lengths)
    ]
    return rows, cut


def arrays(tokenizer, texts, seconds, sequence_length) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The tokenizer's answer in NumPy, (batch, sequence) each, and the lengths, (batch,)."""
    inputs = tokenizer(texts, seconds, sequence_length=sequence_length)
    inputs = {name: np.asarray(tensor) for name, tensor in inputs.items()}
    return inputs, (inputs["padding_mask"] != 0).sum(axis=1)


def sort_labels(labels) -> tuple[str, ...]:
    """Names by the alphabet; by size where all are numbers ("2" before "10")."""
    try:
        return tuple(sorted(labels, key=lambda label: (float(label), label)))
    except ValueError:
        return tuple(sorted(labels))


def quoted(names) -> str:
    return ", ".join(repr(name) for name in names)
