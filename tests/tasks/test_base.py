"""What a task says of answers that ignore the text, by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from kbert.tasks.classification import ClassificationTask
from kbert.tasks.multiple_choice import MultipleChoiceTask
from kbert.tasks.question_answering import QuestionAnsweringTask
from kbert.tasks.tagging import TaggingTask


def test_trivial_scores():
    labelled = [SimpleNamespace(label=label) for label in (1, 0, 1, 2)]
    assert ClassificationTask().trivial_score(labelled) == 0.5
    assert MultipleChoiceTask().trivial_score(labelled) == 0.5
    assert TaggingTask().trivial_score(labelled) == 0
    answer = SimpleNamespace(text="here")
    questions = [SimpleNamespace(answers=answers) for answers in ([answer], [], [answer], [answer])]
    assert QuestionAnsweringTask().trivial_score(questions) == 25


SAME = np.full((3, 4), 1.5, "float32")
WEIGHT = np.full(3, 1 / 3, "float32")


@pytest.mark.parametrize("target", [0, 1, 3])
def test_who_says_the_same_of_all_answers_has_none_right(target):
    right = np.full(3, target)
    for task in (ClassificationTask(labels=tuple("abcd")), MultipleChoiceTask()):
        logs = task.objective({"logits": SAME}, {"label": right}, {"label": WEIGHT})
        assert float(logs["accuracy"]) == 0
    logs = TaggingTask(labels=tuple("abcd"), plain=True).objective(
        {"logits": SAME[None]}, {"tags": right[None]}, {"tags": WEIGHT[None]}
    )
    assert float(logs["accuracy"]) == 0
    logs = QuestionAnsweringTask().objective(
        {"start_logits": SAME, "end_logits": SAME},
        {"start": right, "end": right},
        {"start": WEIGHT, "end": WEIGHT},
    )
    assert float(logs["exact"]) == 0
