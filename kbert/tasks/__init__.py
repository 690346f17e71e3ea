"""The tasks an encoder can be fine-tuned on: one file each, and one line here."""

import dataclasses

from kbert.tasks.base import Task
from kbert.tasks.classification import ClassificationTask
from kbert.tasks.multilabel import MultiLabelTask
from kbert.tasks.multiple_choice import MultipleChoiceTask
from kbert.tasks.question_answering import QuestionAnsweringTask
from kbert.tasks.regression import RegressionTask
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
    )
}


def reading_fields() -> list[dataclasses.Field]:
    """The fields of all tasks, each name once, that may differ from training's."""
    fields = {
        field.name: field
        for task in TASKS.values()
        for field in dataclasses.fields(task)
        if field.name in task.reading_options
    }
    return list(fields.values())
