"""Fine-tuned models of transformers: which of our tasks one is, its labels, its output layer."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from kbert.checkpoints.transfer import Place
from kbert.checkpoints.weight_files import Source
from kbert.errors import DataError
from kbert.tasks import TASKS
from kbert.tasks.base import Task
from kbert.tasks.classification import ClassificationTask
from kbert.tasks.heads.output_heads import POOLER
from kbert.tasks.multilabel import MultiLabelTask
from kbert.tasks.multiple_choice import MultipleChoiceTask
from kbert.tasks.question_answering import QuestionAnsweringTask
from kbert.tasks.regression import RegressionTask
from kbert.tasks.tag_schemes import OUTSIDE, are_plain, join_tag, split_tag
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
# Far above every task: what a wrong number may ask for.
_MOST_LABELS = 10**6


# What a regression's numbers have to be multiplied with and added to, which the weights hold there.
_UNITS = {"mean": 0.0, "deviation": 1.0}
# The place in config.json for settings that only one library has.
_SETTINGS, _OWN = "task_specific_params", "kbert"
# The logit of a tag that a model does not have: its probability is 0, in 16 bits too.
_NEVER = -1e4


class FineTuned(NamedTuple):
    """A task, and which row of the file's output layer each of our labels has: None where the
    file has no such label; no rows at all where they are the same in the same order."""

    task: Task
    rows: list[int | None] | None = None


def read_task(
    file: pathlib.Path,
    fields: Mapping,
    architecture: str,
    length: int,
    second_column: str | None = None,
) -> FineTuned:
    """The task of a fine-tuned model.

    Args:
        file: what errors name.
        fields: of config.json.
        architecture: one of `ARCHITECTURES`.
        length: tokens that the encoder takes. A task takes as many, unless kbert wrote the file
            and says how many: cutting is the user's choice.
        second_column: of a classifier of pairs.

    Raises `DataError` for labels that are not numbered from 0, and for tags of no scheme.
    """
    labels = _labels(file, fields)
    own = _own_task(file, fields, architecture, labels)
    if own is not None:
        return FineTuned(own if second_column is None else _of_pairs(own, second_column))
    if architecture == _QUESTIONS:
        return FineTuned(_questions(length))
    if architecture == _CHOICES:
        return FineTuned(MultipleChoiceTask(sequence_length=length))
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


def with_rows(source: Source, architecture: str, rows: list[int | None] | None) -> Source:
    """The source with those rows of its output layer, as `FineTuned` says."""
    if rows is None:
        return source
    names = {place.name for place in places(architecture)}
    highest = max(row for row in rows if row is not None)
    if any(source.shapes.get(name, (0,))[0] <= highest for name in names):
        return source  # Too few rows, which their shapes say to who reads them.

    def read(name):
        array = source.read(name)
        if name not in names:
            return array
        chosen = array[[0 if row is None else row for row in rows]]
        chosen[[row is None for row in rows]] = _NEVER if array.ndim == 1 else 0
        return chosen

    shapes = {
        name: (len(rows), *shape[1:]) if name in names else shape
        for name, shape in source.shapes.items()
    }
    return source._replace(shapes=shapes, read=read)


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
    if isinstance(task, (TaggingTask, QuestionAnsweringTask)) and task.lstm_size is not None:
        raise DataError("transformers' BERT has no place for a BiLSTM.")
    return _ARCHITECTURES[task.name]


def task_fields(task: Task) -> dict:
    """What config.json says of a task: its kind, its labels, and for kbert all its settings."""
    settings = {"name": task.name, **task.to_json()}
    if isinstance(task, RegressionTask):
        settings |= _UNITS
    fields = {_SETTINGS: {_OWN: settings}}
    if task.name in _PROBLEMS:
        fields["problem_type"] = _PROBLEMS[task.name]
    labels = _labels_of(task)
    if labels is not None:
        fields["id2label"] = {str(number): label for number, label in enumerate(labels)}
        fields["label2id"] = {label: number for number, label in enumerate(labels)}
    return fields


def in_units(task: Task, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights of a regression so that they give numbers in the units of the training file.

    Ours give deviations from its mean, which transformers has no place for.
    """
    if not isinstance(task, RegressionTask) or all(
        getattr(task, name) == value for name, value in _UNITS.items()
    ):
        return arrays
    weight, bias = "classifier.weight", "classifier.bias"
    return arrays | {
        weight: np.asarray(arrays[weight] * task.deviation, "float32"),
        bias: np.asarray(arrays[bias] * task.deviation + task.mean, "float32"),
    }


def _labels_of(task: Task) -> tuple[str, ...] | None:
    if isinstance(task, RegressionTask):
        return ("LABEL_0",)
    return task.tags if isinstance(task, TaggingTask) else getattr(task, "labels", None)


def _own_task(file, fields, architecture, labels) -> Task | None:
    """The task as kbert wrote it, with every setting; None in a folder of others."""
    settings = fields.get(_SETTINGS)
    values = settings.get(_OWN) if isinstance(settings, dict) else None
    if values is None:
        return None
    place = f"{_SETTINGS}.{_OWN} in {file}"
    values = dict(values) if isinstance(values, dict) else {}
    name = values.pop("name", None)
    if not isinstance(name, str) or _ARCHITECTURES.get(name) != architecture:
        raise DataError(f"{place} must be of a task of {architecture}. Received: {name!r}.")
    task = TASKS[name].from_json(values, place)
    named = _labels_of(task)
    if named is not None and tuple(named) != labels:
        raise DataError(
            f"{place} must have the labels of id2label, {', '.join(labels)}. "
            f"Received: {', '.join(named)}."
        )
    return task


def _of_pairs(task: Task, second_column: str) -> Task:
    if not isinstance(task, TextTask):
        raise DataError(f"The task {task.name} has no second column. Received: {second_column!r}.")
    return dataclasses.replace(task, second_column=second_column)


def _questions(length: int) -> QuestionAnsweringTask:
    size = min(length, QuestionAnsweringTask.sequence_length)
    return QuestionAnsweringTask(
        sequence_length=size,
        max_question_length=min(QuestionAnsweringTask.max_question_length, size // 4),
        stride=min(QuestionAnsweringTask.stride, size // 2),
    )


def _labels(file, fields) -> tuple[str, ...]:
    """In the order of their numbers; LABEL_0 ... where the file has no names.

    Of id2label and label2id, which say the same, one may be missing.
    """
    by_number, by_name = fields.get("id2label"), fields.get("label2id")
    if by_number is None and by_name is not None:
        by_number = _inverted(file, by_name)
    if by_number is not None and not isinstance(by_number, dict):
        raise DataError(f"{file} must have an object as id2label. Received: {by_number!r}.")
    count = fields.get("num_labels", 2 if by_number is None else len(by_number))
    if type(count) is not int or not 1 <= count <= _MOST_LABELS:
        raise DataError(f"{file} must have a number of labels as num_labels. Received: {count!r}.")
    if by_number is None:
        return tuple(f"LABEL_{number}" for number in range(count))
    try:
        labels = tuple(str(by_number[str(number)]) for number in range(len(by_number)))
    except (KeyError, TypeError) as error:
        raise DataError(f"{file} must number its labels from 0 in id2label: {error!r}.") from error
    if len(set(labels)) != len(labels):
        raise DataError(f"{file} must name each label once in id2label. Received: {labels}.")
    if len(labels) != count:
        raise DataError(f"{file} must name {count} labels in id2label. Received: {len(labels)}.")
    # Some files have names in id2label alone, and the default's numbers in label2id.
    for name, number in by_name.items() if isinstance(by_name, dict) else ():
        if name in labels and str(number) != str(labels.index(name)):
            raise DataError(
                f"{file} must number {name!r} alike in id2label and label2id. "
                f"Received: {labels.index(name)} and {number!r}."
            )
    return labels


def _inverted(file, by_name) -> dict[str, str]:
    if not isinstance(by_name, dict):
        raise DataError(f"{file} must have an object as label2id. Received: {by_name!r}.")
    numbers = {str(number): name for name, number in by_name.items()}
    if len(numbers) != len(by_name):
        raise DataError(f"{file} must number each label once in label2id. Received: {by_name}.")
    return numbers


def _tagging(file, tags, length) -> FineTuned:
    if are_plain(tags):
        return FineTuned(TaggingTask(labels=tags, plain=True, sequence_length=length))
    parts = {tag: split_tag(tag) for tag in tags if tag != OUTSIDE}
    known = OUTSIDE in tags and all(part and part[0] in "BI" for part in parts.values())
    if not known or len(set(parts.values())) != len(parts):
        raise DataError(
            f"{file} must have the tag O, and B- or I- of each type. Received: {', '.join(tags)}."
        )
    types = sorted({name for _, name in parts.values()})
    task = TaggingTask(labels=tuple(types), sequence_length=length)
    found = {join_tag(*parts[tag]) if tag in parts else tag: row for row, tag in enumerate(tags)}
    # Where no entity follows another of its type, the training data has an I- without its B-.
    rows = [found.get(tag) for tag in task.tags]
    return FineTuned(task, None if rows == list(range(len(tags))) else rows)
