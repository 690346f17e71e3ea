"""The tasks an encoder can be fine-tuned on: one file each, and one line here."""

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
