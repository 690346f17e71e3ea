"""What the tasks on a text or a pair of texts share: files, columns, tokens.

Files are TSV, CSV or JSON lines with a text column, maybe a second one, and a label column (see
kbert/tasks/readers/tables.py). What a label is, and what is computed, each task says in its own
file.
"""

import abc
import dataclasses
import functools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from kbert.errors import DataError
from kbert.settings import setting
from kbert.tasks.base import Task
from kbert.tasks.features import Feature
from kbert.tasks.heads import encoder_features, output_layer
from kbert.tasks.heads.output_heads import HEADS, POOLER, RECURRENT
from kbert.tasks.readers import tables
from kbert.tasks.readers.bad_rows import BadRows, check_any_left

# Texts given to the tokenizer at once: many for its speed, few for the memory of their padding.
CHUNK = 1024
# Title of the options that say where the columns are.
COLUMNS = "columns: names in the header or JSON keys; numbers from 0 with --no-header"
_FEATURES_HEAD = "bilstm"


class TextExample(NamedTuple):
    """A text or a pair, and its label where it is known. `where` is its place, for messages; `id`
    its name, for its answer."""

    text: str
    second: str | None
    label: Any
    where: str
    id: str | None = None


@dataclasses.dataclass(frozen=True)
class ColumnsTask(Task):
    """Something that is known of a text or a pair of texts, in files with a row for each.

    Args:
        sequence_length: longer texts are cut to so many tokens, [CLS] and [SEP] among them.
        text_column, second_column, label_column: column names, or numbers from 0 without a header.
            With a `second_column` the examples are pairs.
        id_column: another, of what names a row: it stands beside its answer.
        header: whether the first line of a TSV or CSV file names the columns.
        delimiter: the character between the cells of such a file; None for what its name says.
    """

    reading_options = (
        "text_column",
        "second_column",
        "label_column",
        "id_column",
        "header",
        "delimiter",
    )
    # Whether a label may be a list in JSON.
    labels_are_lists: ClassVar[bool] = False

    sequence_length: int = setting(
        128, "tokens of a text, or of both texts of a pair; longer ones are cut", at_least=4
    )
    text_column: str = setting("text", "the text", group=COLUMNS)
    second_column: str | None = setting(
        None, "the second text, for pairs", unset="single texts", group=COLUMNS
    )
    label_column: str | None = setting("label", "the label", group=COLUMNS)
    id_column: str | None = setting(
        None, "what names a row, to stand beside its answer", unset="none", group=COLUMNS
    )
    header: bool = setting(True, "the first line names the columns", group=COLUMNS)
    delimiter: str | None = setting(
        None,
        "the character between the cells of a table",
        unset="a tab, of .csv a comma",
        group=COLUMNS,
    )

    def __post_init__(self):
        super().__post_init__()
        if self.delimiter is not None and (len(self.delimiter) != 1 or self.delimiter in '"\r\n'):
            raise DataError(f"delimiter must be one character. Received: {self.delimiter!r}.")

    @abc.abstractmethod
    def parse_label(self, cell: str, where: str) -> Any:
        """The label in a cell. Raises DataError, with `where`, for what is none."""

    def known_labels(self, examples: Sequence[TextExample], bad: BadRows) -> Sequence[TextExample]:
        """The examples whose labels training has seen; the others are bad rows."""
        return examples

    @abc.abstractmethod
    def target(self, example: TextExample) -> tuple[dict, dict]:
        """Targets and weights of an example; both empty without a label."""

    @property
    def takes_pairs(self) -> bool:
        return self.second_column is not None

    def read_examples(
        self, path: str | pathlib.Path, labelled: bool = True, bad: BadRows | None = None
    ) -> list[TextExample]:
        bad = BadRows() if bad is None else bad
        columns = {"text": self.text_column}
        if self.second_column is not None:
            columns["second"] = self.second_column
        if labelled and self.label_column is not None:
            columns["label"] = self.label_column
        elif not labelled and self.id_column is not None:
            columns["id"] = self.id_column
        lists = ("label",) if self.labels_are_lists else ()
        examples = []
        for row in tables.read_rows(path, columns, self.header, bad, lists, self.delimiter):
            try:
                examples.append(self._example(row, labelled))
            except DataError as error:
                bad.add(error)
        if labelled:
            examples = list(self.known_labels(examples, bad))
        check_any_left(examples, bad, path)
        return examples

    def _example(self, row: tables.Row, labelled: bool) -> TextExample:
        found = row.cells
        example = TextExample(found["text"], found.get("second"), None, row.where, found.get("id"))
        if labelled:
            check_texts(example)
        if "label" in found:
            example = example._replace(label=self.parse_label(found["label"], row.where))
        return example

    def begins_rows(self, line: str) -> bool:
        """Two column names at least, the text's among them."""
        cells = line.split(self.delimiter or "\t")
        return self.header and len(cells) > 1 and self.text_column in cells

    def parse(self, instance: str | Mapping, where: str) -> TextExample:
        """A line is a text, or for pairs two with a tab between; an object has "text", "second"."""
        values = parse_texts(instance, self.instance_fields, where)
        return TextExample(values["text"], values.get("second"), None, where)


@dataclasses.dataclass(frozen=True)
class TextTask(ColumnsTask):
    """Something that is known of a text or a pair of texts as a whole.

        sequence_output -> head -> dropout -> dense -> the outputs

    Args, besides those of ColumnsTask:
        head: one of `kbert.tasks.heads.output_heads.HEADS`; "pooler" is the paper's, and None
            stands for it, or with `features` for "bilstm".
        features: freeze the encoder, and give the head these of its hidden layers
            (kbert/tasks/heads/encoder_features.py); not with the pooler, which reads the last one.
        lstm_size: width of each direction of a head's LSTM; None for the encoder's width.
        dropout: rate before the output layer (0.1 in the paper).
    """

    head: str | None = setting(
        None,
        "what makes one vector of a text's tokens",
        unset=f"{POOLER}, with --features {_FEATURES_HEAD}",
        choices=HEADS,
    )
    features: str | None = encoder_features.features_setting()
    lstm_size: int | None = encoder_features.lstm_size_setting(
        f"width of each direction, in the heads {' and '.join(RECURRENT)}", "the encoder's width"
    )
    dropout: float = output_layer.dropout_setting()

    def __post_init__(self):
        if self.head is None:
            head = POOLER if self.features is None else _FEATURES_HEAD
            object.__setattr__(self, "head", head)
        super().__post_init__()
        if self.label_column is None:
            raise DataError("label_column must name a column.")
        if self.features is not None and self.head == POOLER:
            raise DataError(
                f"The head {POOLER} reads the encoder's last layer, not the features "
                f"{self.features}. Choose another head: {_FEATURES_HEAD}, for example."
            )
        if self.head not in RECURRENT:
            self.check_unset("lstm_size", needs=f"a head with an LSTM, {' or '.join(RECURRENT)}")

    def with_options(self, **options) -> "TextTask":
        if options.get("second_column") is not None and self.second_column is None:
            raise DataError("The model was fine-tuned on single texts: it takes no second column.")
        return super().with_options(**options)

    def encode(self, examples: Sequence[TextExample], tokenizer) -> list[Feature]:
        features = []
        for start in range(0, len(examples), CHUNK):
            chunk = examples[start : start + CHUNK]
            texts = [example.text for example in chunk]
            seconds = [example.second for example in chunk] if self.takes_pairs else None
            inputs, cut = tokenize(tokenizer, texts, seconds, self.sequence_length)
            for number, example in enumerate(chunk):
                targets, weights = self.target(example)
                features.append(
                    Feature(inputs[number], start + number, targets, weights, bool(cut[number]))
                )
        return features

    def build_on_head(self, encoder, output: str, size: int):
        """Adds an output (batch, size), float32 in every precision."""
        import keras

        vectors = encoder_features.token_vectors(encoder, self.features)
        pooled = HEADS[self.head](encoder, vectors, self.lstm_size)  # (batch, width)
        outputs = {output: output_layer.classifier(pooled, size, self.dropout)}
        return keras.Model(encoder.input, outputs, name=self.name)

    def packed(self, model, encoder):
        """With the paper's head, of [CLS]: the others read the whole row."""
        import keras

        from kbert.models import pooled_at

        if self.head != POOLER:
            return None
        cls_positions = keras.Input((None,), dtype="int32", name="cls_positions")
        x = pooled_at(encoder, cls_positions)
        if x is None:
            return None
        for name in output_layer.LAYERS:
            x = model.get_layer(name)(x)
        inputs = {**encoder.input, "cls_positions": cls_positions}
        return keras.Model(inputs, dict.fromkeys(model.output, x), name=self.name)


def parse_texts(instance: str | Mapping, keys: Sequence[str], where: str) -> Mapping[str, str]:
    """The texts of an instance by their keys: one text, or two with a tab between, or an object.

    An empty line is a text, or two, without words. Raises DataError, with `where`, for another.
    """
    values = instance
    if isinstance(instance, str):
        parts = instance.split("\t") if len(keys) > 1 and instance else [instance] * len(keys)
        values = dict(zip(keys, parts, strict=True)) if len(parts) == len(keys) else None
    if (
        not isinstance(values, Mapping)
        or set(values) != set(keys)
        or not all(isinstance(value, str) for value in values.values())
    ):
        line = "a text" if len(keys) == 1 else "two texts with one tab between them"
        named = "{" + ", ".join(f'"{key}": "..."' for key in keys) + "}"
        raise DataError(f"{where}: expected {line} or {named}. Received: {_shortened(instance)}.")
    return values


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:80] + " ..."


def check_texts(example: TextExample) -> None:
    """Raises DataError for an empty text."""
    for part, value in (("text", example.text), ("second text", example.second)):
        if value is not None and not value.strip():
            raise DataError(f"{example.where}: expected a {part}. It is empty.")


def tokenize(
    tokenizer,
    texts: Sequence[str],
    seconds: Sequence[str] | None,
    sequence_length: int,
    special_tokens: bool = False,
) -> tuple[list[dict[str, np.ndarray]], np.ndarray]:
    """The model's inputs of each text, (sequence,) int32 without padding, and which were cut."""
    encode = functools.partial(_arrays, tokenizer, special_tokens=special_tokens)
    if seconds is None:
        inputs, lengths, cut = _cut_texts(encode, texts, sequence_length)
    else:
        inputs, lengths, cut = _cut_pairs(encode, texts, seconds, sequence_length)
    rows = [
        {name: array[row, :length] for name, array in inputs.items()}
        for row, length in enumerate(lengths)
    ]
    return rows, cut


def _cut_texts(encode, texts, sequence_length):
    # One token more than fits tells which texts are cut: [SEP], the last one, moves by one.
    inputs, lengths = encode(texts, None, sequence_length + 1)
    cut = lengths > sequence_length
    token_ids = inputs["token_ids"].copy()  # TensorFlow's own is read-only.
    token_ids[cut, -2:] = token_ids[cut, -1:]
    return inputs | {"token_ids": token_ids}, np.minimum(lengths, sequence_length), cut


def _cut_pairs(encode, texts, seconds, sequence_length):
    inputs, lengths = encode(texts, seconds, sequence_length)
    cut = lengths == sequence_length
    full = np.flatnonzero(cut)
    if full.size:
        # A pair that fills the sequence may just fit. It was cut if a longer sequence is filled.
        some, pairs = [texts[i] for i in full], [seconds[i] for i in full]
        cut[full] = encode(some, pairs, sequence_length + 1)[1] > sequence_length
    return inputs, lengths, cut


def _arrays(
    tokenizer, texts, seconds, sequence_length, special_tokens
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The tokenizer's answer in NumPy, (batch, sequence) each, and the lengths, (batch,)."""
    inputs = tokenizer(
        texts, seconds, sequence_length=sequence_length, special_tokens=special_tokens
    )
    inputs = {name: np.asarray(tensor) for name, tensor in inputs.items()}
    return inputs, (inputs["padding_mask"] != 0).sum(axis=1)
