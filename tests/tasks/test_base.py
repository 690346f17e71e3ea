"""What a task says of answers that ignore the text, by hand."""

from types import SimpleNamespace

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
