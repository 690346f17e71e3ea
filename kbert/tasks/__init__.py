"""The tasks an encoder can be fine-tuned on: one file each, and one line here."""

import dataclasses
import os
from collections.abc import Iterable
from typing import Any

from kbert.errors import DataError
from kbert.files import read_object
from kbert.settings import Settings
from kbert.tasks.base import Task
from kbert.tasks.classification import ClassificationTask
from kbert.tasks.multilabel import MultiLabelTask
from kbert.tasks.multiple_choice import MultipleChoiceTask
from kbert.tasks.question_answering import QuestionAnsweringTask
from kbert.tasks.regression import RegressionTask
from kbert.tasks.similarity import SimilarityTask
from kbert.tasks.tagging import TaggingTask

TASKS: dict[str, type[Task]] = {
    task.name: task
    for task in (
        ClassificationTask,
        RegressionTask,
        MultiLabelTask,
        TaggingTask,
        QuestionAnsweringTask,
        MultipleChoiceTask,
        SimilarityTask,
    )
}


def read_task(file: str | os.PathLike, longest: int, others: Iterable[type[Settings]] = ()) -> Any:
    """The task in a task.json of an encoder that takes `longest` tokens.

    `others` are kinds that may stand in the place of a task: with a `name`, too.

    Raises `DataError` naming what does not fit.
    """
    values = read_object(file)
    name = values.pop("name", None)
    kinds = {**TASKS, **{kind.name: kind for kind in others}}
    if not isinstance(name, str) or name not in kinds:
        raise DataError(f"{file} must name one of the tasks {sorted(kinds)}. Received: {name!r}.")
    task = kinds[name].from_json(values, str(file))
    labels = getattr(task, "labels", None)
    if labels is not None and len(set(labels)) < len(labels):
        raise DataError(f"{file} must name each label once. Received: {list(labels)}.")
    if labels == ():
        raise DataError(f"{file} must have labels. It has none.")
    if task.sequence_length > longest:
        raise DataError(
            f"{file} must have a sequence_length of at most {longest}, as the encoder. "
            f"Received: {task.sequence_length}."
        )
    return task


def reading_fields() -> list[dataclasses.Field]:
    """The fields of all tasks, each name once, that may differ from training's."""
    fields: dict[str, dataclasses.Field] = {}
    for task in TASKS.values():
        for field in dataclasses.fields(task):
            if field.name in task.reading_options:
                fields.setdefault(field.name, field)
    return list(fields.values())
