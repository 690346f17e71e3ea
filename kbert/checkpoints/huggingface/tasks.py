"""Fine-tuned models of transformers: which of our tasks one is, its labels, its output layer."""

import pathlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from kbert.checkpoints.transfer import Place
from kbert.checkpoints.weight_files import Source
from kbert.config import BertConfig
from kbert.errors import DataError
from kbert.tasks.base import Task
from kbert.tasks.classification import ClassificationTask
from kbert.tasks.heads.output_heads import POOLER
from kbert.tasks.multilabel import MultiLabelTask
from kbert.tasks.multiple_choice import MultipleChoiceTask
from kbert.tasks.question_answering import QuestionAnsweringTask
from kbert.tasks.regression import RegressionTask
from kbert.tasks.tag_schemes import OUTSIDE
from kbert.tasks.tagging import TaggingTask
from kbert.tasks.texts import TextTask

_TEXTS = "BertForSequenceClassification"
_WORDS = "BertForTokenClassification"
_QUESTIONS = "BertForQuestionAnswering"
_CHOICES = "BertForMultipleChoice"
# architecture -> the output layer's name, ours and theirs.
_LAYERS = {
    _TEXTS: ("classifier", "classifier"),
    _WORDS: ("classifier", "classifier"),
    _QUESTIONS: ("span", "qa_outputs"),
    _CHOICES: ("classifier", "classifier"),
}
_PROBLEMS = {
    "classification": "single_label_classification",
    "multilabel": "multi_label_classification",
    "regression": "regression",
}
_ARCHITECTURES = {
    **dict.fromkeys(_PROBLEMS, _TEXTS),
    "tagging": _WORDS,
    "qa": _QUESTIONS,
    "choice": _CHOICES,
}
ARCHITECTURES = tuple(_LAYERS)


class FineTuned(NamedTuple):
    """A task, and the order of our labels in the file's output layer; None for the same order."""

    task: Task
    order: list[int] | None = None


def read_task(
    file: pathlib.Path, fields: Mapping, config: BertConfig, second_column: str | None
) -> FineTuned:
    """The task of a fine-tuned model, as long as it can take: cutting is the user's choice.

    Raises `DataError` for labels that are not numbered from 0, and for tags that are not BIO.
    """
    architecture, length = fields["architectures"][0], config.max_sequence_length
    if architecture == _QUESTIONS:
        size = min(length, QuestionAnsweringTask.sequence_length)
        question = min(QuestionAnsweringTask.max_question_length, size // 4)
        return FineTuned(
            QuestionAnsweringTask(
                sequence_length=size,
                max_question_length=question,
                stride=min(QuestionAnsweringTask.stride, size // 2),
            )
        )
    if architecture == _CHOICES:
        return FineTuned(MultipleChoiceTask(sequence_length=length))
    labels = _labels(file, fields)
    if architecture == _WORDS:
        return _tagging(file, labels, length)
    options = {"sequence_length": length, "second_column": second_column}
    # Without a problem_type transformers decides by the number of labels too.
    problem = (
        fields.get("problem_type")
        or _PROBLEMS["classification" if len(labels) > 1 else "regression"]
    )
    if problem == _PROBLEMS["regression"] and len(labels) == 1:
        return FineTuned(RegressionTask(**options))
    if problem == _PROBLEMS["multilabel"]:
        return FineTuned(MultiLabelTask(labels=labels, **options))
    if problem == _PROBLEMS["classification"] and len(labels) > 1:
        return FineTuned(ClassificationTask(labels=labels, **options))
    raise DataError(
        f"{file} must have a problem_type of {', '.join(_PROBLEMS.values())}, with one label for "
        f"regression. Received: {problem!r} with {len(labels)} labels."
    )


def places(architecture: str) -> list[Place]:
    """Where the weights of the output layer belong."""
    if architecture not in _LAYERS:
        return []
    ours, theirs = _LAYERS[architecture]
    return [
        Place(f"{theirs}.weight", f"{ours}/kernel", transposed=True),
        Place(f"{theirs}.bias", f"{ours}/bias"),
    ]


def reordered(source: Source, architecture: str, order: list[int] | None) -> Source:
    """The source with the rows of its output layer in the order of our labels."""
    if order is None:
        return source
    names = {place.name for place in places(architecture)}

    def read(name):
        array = source.read(name)
        return array[order] if name in names else array

    return source._replace(read=read)


def architecture_of(task: Task) -> str:
    """Raises `DataError` for a task whose model transformers does not have."""
    if task.name not in _ARCHITECTURES:
        raise DataError(f"transformers has no model for the task {task.name}.")
    if isinstance(task, TaggingTask) and task.crf:
        raise DataError("transformers' BERT has no place for a CRF.")
    if task.features is not None:
        raise DataError(f"transformers' BERT has no place for a BiLSTM on {task.features}.")
    if isinstance(task, TextTask) and task.head != POOLER:
        raise DataError(f"transformers' BERT has no place for the head {task.head}.")
    return _ARCHITECTURES[task.name]


def task_fields(task: Task) -> dict:
    """What config.json says of a task: its kind and its labels."""
    fields = {}
    if task.name in _PROBLEMS:
        fields["problem_type"] = _PROBLEMS[task.name]
    labels = task.tags if isinstance(task, TaggingTask) else getattr(task, "labels", None)
    if isinstance(task, RegressionTask):
        labels = ("LABEL_0",)
    if labels is not None:
        fields["id2label"] = {str(number): label for number, label in enumerate(labels)}
        fields["label2id"] = {label: number for number, label in enumerate(labels)}
    return fields


def in_units(task: Task, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights of a regression so that they give numbers in the units of the training file.

    Ours give deviations from its mean, which transformers has no place for.
    """
    if not isinstance(task, RegressionTask) or (task.mean, task.deviation) == (0.0, 1.0):
        return arrays
    weight, bias = "classifier.weight", "classifier.bias"
    return arrays | {
        weight: np.asarray(arrays[weight] * task.deviation, "float32"),
        bias: np.asarray(arrays[bias] * task.deviation + task.mean, "float32"),
    }


def _labels(file, fields) -> tuple[str, ...]:
    """In the order of their numbers; LABEL_0 ... where the file has no names."""
    names = fields.get("id2label")
    if names is None:
        return tuple(f"LABEL_{number}" for number in range(fields.get("num_labels", 2)))
    try:
        labels = tuple(str(names[str(number)]) for number in range(len(names)))
    except (KeyError, TypeError) as error:
        raise DataError(f"{file} must number its labels from 0 in id2label: {error!r}.") from error
    if len(set(labels)) != len(labels):
        raise DataError(f"{file} must name each label once in id2label. Received: {labels}.")
    return labels


def _tagging(file, tags, length) -> FineTuned:
    types = sorted({tag[2:] for tag in tags if tag != OUTSIDE})
    task = TaggingTask(labels=tuple(types), sequence_length=length)
    if sorted(task.tags) != sorted(tags):
        raise DataError(
            f"{file} must have the tag O, and B- and I- of each type. Received: {', '.join(tags)}."
        )
    order = [tags.index(tag) for tag in task.tags]
    return FineTuned(task, None if order == sorted(order) else order)
