"""What a task is: everything that differs between classification, tagging, question answering ...

A task is one file in this folder and one line in `TASKS`. `finetune`, `evaluate`, `predict` and the
server know nothing of any task but these methods:

    file --read_examples--> examples --encode--> features -> model --> outputs --decode--> answers
                                                 (build_model)                              |
                                                 objective: the loss        metrics: the scores

An answer is the JSON that a user sees, and scores are computed from answers: what is measured is
what is served. A task imports no TensorFlow; it is handed its tokenizer.
"""

import abc
import dataclasses
import math
import pathlib
import typing
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from kbert.errors import DataError
from kbert.metrics.tally import Tally
from kbert.settings import Settings
from kbert.tasks.features import Feature
from kbert.tasks.readers.bad_rows import BadRows
from kbert.tasks.readers.lines import first_line

if TYPE_CHECKING:
    # Keras takes seconds to import; a command's `--help` needs the tasks but not Keras. So a task
    # imports it in the methods that build and compute.
    import keras

    from kbert.metrics.plots import LabelProbabilities

Example = Any  # Each task has its own kind.
# The model's outputs for each feature of an example, the example, and those features.
Part = tuple[Sequence[Mapping[str, np.ndarray]], Example, Sequence[Feature]]


class Task(Settings, abc.ABC):
    """One way to fine-tune an encoder: a frozen dataclass, whose fields are its settings.

    A field made by `setting` is an option of `kbert finetune NAME`; the others `prepare` finds.

    Attributes:
        name: its key in `TASKS`, its name in commands and in task.json.
        metric_names: the single numbers in `metrics`, by each of which the best epoch can be
            chosen; the first is the default. "loss" is better when lower, all others when higher.
        scores_in_percent: whether its metrics are percentages, not shares of 1.
        token_targets: names of the targets that have a value for every token.
        sequence_length: tokens that a feature has at most, in training and ever after.
        reading_options: fields that say how files are read or scored, and may differ from those of
            training.
        output_settings: fields that say what the numbers of the output layer mean; where they are
            the same, a fine-tuned model's output layer can be trained further.
        features: what the output layer sees of a frozen encoder
            (kbert/tasks/heads/encoder_features.py); None where the encoder learns too.
        links: name of an output -> in what several models are averaged, and a student learns from
            teachers: "softmax" over the last axis, "sigmoid", or "identity" for a number. Empty
            where there is no mean.
        token_outputs: whether these outputs have an axis of tokens, the first without the batch's.
        teachers_share_pieces: whether a teacher must read texts in the pieces of its student.
        takes_pairs: whether an example is two texts.
        takes_choices: whether an example is a context and any number of choices.
        has_plot: whether `label_probabilities` gives what pictures are drawn from.
    """

    name: ClassVar[str]
    metric_names: ClassVar[tuple[str, ...]]
    scores_in_percent: ClassVar[bool] = False
    token_targets: ClassVar[frozenset[str]] = frozenset()
    sequence_length: int
    reading_options: ClassVar[tuple[str, ...]] = ()
    output_settings: ClassVar[tuple[str, ...]] = ()
    features: str | None = None
    links: ClassVar[Mapping[str, str]] = {}
    token_outputs: ClassVar[bool] = False
    teachers_share_pieces: ClassVar[bool] = False
    takes_pairs: bool = False
    takes_choices: ClassVar[bool] = False
    has_plot: ClassVar[bool] = False

    @property
    def instance_fields(self) -> tuple[str, ...]:
        """The keys of an instance that `parse` takes and an exported graph asks for."""
        if self.takes_choices:
            return ("context", "question", "choices")
        return ("text", "second") if self.takes_pairs else ("text",)

    # Settings: to and from task.json, and for reading another file.

    @classmethod
    def from_json(cls, values: Mapping, where: str = "task.json") -> typing.Self:
        """The task in a JSON object; see `Settings.from_json`."""
        return super().from_json({k: v for k, v in values.items() if k != "name"}, where)

    def with_options(self, **options) -> "Task":
        """This task, reading files in another way (other columns, say) than in training.

        Options that are None stay as they are. Raises DataError for one that it does not have.
        """
        given = {name: value for name, value in options.items() if value is not None}
        for name in set(given) - set(self.reading_options):
            raise DataError(
                f"The task {self.name} has no option {name}. Received: {given[name]!r}."
            )
        return dataclasses.replace(self, **given) if given else self

    # Data.

    @abc.abstractmethod
    def read_examples(
        self, path: str | pathlib.Path, labelled: bool = True, bad: BadRows | None = None
    ) -> list[Example]:
        """All examples of a file, in order.

        Args:
            labelled: whether the right answers are needed; False ignores them.
            bad: what to do with rows that do not fit; None raises the first one's error. They are
                left out, unless a task says that they can still be answered and scored.

        Raises DataError with file, line and what was expected: for a line that does not fit, and
        for an answer that `prepare` did not see in training.
        """

    def holds_lines(self, path: pathlib.Path) -> bool:
        """Whether a file holds a text for `parse` on each line, and not rows with columns.

        A .txt file does, unless its first line is that of a file that `read_examples` takes.
        """
        if path.suffix.lower() != ".txt" or path.is_dir():
            return False
        return not self.begins_rows(first_line(path))

    def begins_rows(self, line: str) -> bool:
        """Whether the first line of a .txt file says that it holds rows, not texts."""
        return False

    @abc.abstractmethod
    def parse(self, instance: str | Mapping, where: str) -> Example:
        """An example without an answer, from one line of text or one JSON object.

        An empty text is answered as any other. `where` names its place in error messages
        (DataError).
        """

    def prepare(self, examples: Sequence[Example], where: str) -> "Task":
        """The task completed by what only the training examples tell: the labels, for example.

        `where` names their file in error messages (DataError).
        """
        return self

    def check_held_out(self, examples: Sequence[Example]) -> None:
        """Raise DataError for held-out examples that cannot be scored."""

    @abc.abstractmethod
    def encode(self, examples: Sequence[Example], tokenizer) -> list[Feature]:
        """Examples -> features of at most `sequence_length` tokens, in order, one or more each.

        Takes many examples at once: the tokenizer is many times faster on a list than one by one.
        """

    def feature_errors(
        self, examples: Sequence[Example], features: Sequence[Feature]
    ) -> list[DataError]:
        """An error for each labelled example from whose features nothing can be learned."""
        return []

    def counts(self, examples: Sequence[Example], features: Sequence[Feature]) -> dict[str, int]:
        """What a user should know of a file once it is encoded, by name: its windows, say."""
        return {}

    # Model.

    @abc.abstractmethod
    def build_model(self, encoder: "keras.Model") -> "keras.Model":
        """The encoder with this task's output layer; returns a dict of named outputs."""

    def packed(self, model: "keras.Model", encoder: "keras.Model") -> "keras.Model | None":
        """What `build_model` built, with the same weights, for rows that several features share.

        It takes `cls_positions` (rows, features a row) besides, where outputs are of whole texts:
        these have the axes (rows, features a row) in the place of (batch). None where an output
        needs a row of its own.
        """
        return None

    @abc.abstractmethod
    def objective(self, outputs: Mapping, targets: Mapping, weights: Mapping) -> dict:
        """The batch's loss and what else the progress bar shows.

        Args:
            outputs: of the model; any float type.
            targets: as in the features, stacked.
            weights: as in the features, stacked; each name's sum over the whole batch is 1.

        Returns:
            Scalars, each a weighted sum over the rows received, "loss" among them. So the values
            of parts of a batch add up to the value of the batch.
        """

    def taught(self, feature: Feature, said: Part) -> tuple[Mapping[str, np.ndarray], np.ndarray]:
        """What a student learns of a feature from another model of the task.

        Args:
            feature: of the student.
            said: the other model's outputs for the example, and the features that it has read.

        Returns:
            The other model's outputs by the names in `links`, as the student has them for the
            feature, and a weight for each place. Unless a task says otherwise an example has one
            feature and one answer.
        """
        (output, *_), _, _ = said
        return {name: output[name] for name in self.links}, np.ones((), "float32")

    # Answers.

    @abc.abstractmethod
    def decode(
        self,
        outputs: Sequence[Mapping[str, np.ndarray]],
        example: Example,
        features: Sequence[Feature] = (),
    ) -> dict:
        """The answer to one example, ready for JSON.

        kbert/serving/graph/ computes the same for an exported graph.

        Args:
            outputs: the model's outputs for each feature of the example, without batch axis. An
                axis of tokens may be longer than the feature, padded.
            features: those features; tasks that cut examples into windows need them.
        """

    def decode_all(self, parts: Sequence[Part]) -> list[dict]:
        """`decode` of many examples, which a task may do faster than one by one."""
        return [self.decode(*part) for part in parts]

    def tune(self, answers: Sequence[Mapping], examples: Sequence[Example]) -> "Task":
        """The task completed by what only answers to held-out examples tell: a threshold, say.

        `metrics` of the task that is returned must hold for those same answers.
        """
        return self

    @abc.abstractmethod
    def metrics(self, answers: Sequence[Mapping], examples: Sequence[Example]) -> dict:
        """The official scores of answers to labelled examples, ready for JSON.

        Holds at least the numbers of `metric_names`.
        """

    def tally(
        self, metric: str, answers: Sequence[Mapping], examples: Sequence[Example]
    ) -> Tally | None:
        """A score of `metrics` from counts of each row, where it has that form, or None.

        So it costs little on thousands of draws of the rows.
        """
        return None

    def label_probabilities(
        self, answers: Sequence[Mapping], examples: Sequence[Example]
    ) -> "LabelProbabilities":
        """What pictures of the scores are drawn from; of tasks with `has_plot`."""
        raise NotImplementedError

    def trivial_score(self, examples: Sequence[Example]) -> float:
        """The first of `metric_names` for the best answer that ignores the text, or about it.

        Unless a task says otherwise 0: no entity is found, nothing correlates.
        """
        return 0.0

    def has_failed(self, scores: Mapping, trivial_score: float) -> bool:
        """Whether a run is no better than `trivial_score`, or has no such score."""
        # Not at or below; so that a score that is NaN has failed too.
        return not scores.get(self.metric_names[0], -math.inf) > trivial_score + 1e-9

    def report(self, metrics: Mapping) -> str:
        """The scores as lines for a person."""
        return "\n".join(f"{name:<12}{metrics[name]:.4f}" for name in self.metric_names)
