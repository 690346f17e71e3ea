"""What a task says of answers that ignore the text, by hand."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from kbert.tasks.classification import ClassificationTask
from kbert.tasks.multilabel import MultiLabelTask
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


def test_the_trivial_score_of_several_labels_is_the_best_constant_answer():
    rng, labels = np.random.default_rng(0), ("a", "b", "c", "d")
    gold = rng.random((30, 4)) < (0.8, 0.3, 0.6, 0.05)
    rows = [SimpleNamespace(label=tuple(np.array(labels)[own])) for own in gold]
    constant = itertools.product((False, True), repeat=4)
    expected = max(
        f1_score(gold, np.tile(own, (30, 1)), average="micro") for own in constant if any(own)
    )
    assert MultiLabelTask(labels=labels).trivial_score(rows) == pytest.approx(expected)


def test_the_trivial_score_of_plain_tags_is_that_of_one_tag():
    sentences = (("NN", "VB", "NN"), ("NN", "O"), ("O", "O", "O"))
    rows = [SimpleNamespace(sentence=SimpleNamespace(tags=tags)) for tags in sentences]
    # NN: 3 of 8 words that are said, 4 that are none of O.
    task = TaggingTask(labels=("NN", "O", "VB"), plain=True)
    assert task.trivial_score(rows) == pytest.approx(2 * 3 / (8 + 4))


LABELS = ("no", "yes")
WORD_TAGS = ("O", "B-x", "I-x", "B-y")


@given(
    st.lists(st.tuples(*[st.sampled_from(LABELS)] * 2), min_size=1, max_size=8),
    st.lists(
        st.lists(st.tuples(*[st.sampled_from(WORD_TAGS)] * 2), min_size=1, max_size=6),
        min_size=1,
        max_size=8,
    ),
    st.randoms(use_true_random=False),
)
def test_a_tally_gives_the_score_of_any_rows(answered, tagged, random):
    """`metrics` on rows drawn with replacement, as a bootstrap draws them."""
    rows = [random.randrange(len(answered)) for _ in answered]
    task = ClassificationTask(labels=LABELS)
    examples = [SimpleNamespace(label=label) for label, _ in answered]
    answers = [
        {"label": label, "probabilities": dict.fromkeys(LABELS, 0.5)} for _, label in answered
    ]
    check_tally(task, "accuracy", answers, examples, rows)

    rows = [random.randrange(len(tagged)) for _ in tagged]
    examples = [SimpleNamespace(sentence=SimpleNamespace(tags=[a for a, _ in s])) for s in tagged]
    answers = [{"tags": [found for _, found in sentence]} for sentence in tagged]
    for task in (TaggingTask(labels=("x", "y")), TaggingTask(labels=WORD_TAGS, plain=True)):
        for metric in ("f1", "precision", "recall"):
            check_tally(task, metric, answers, examples, rows)


def check_tally(task, metric, answers, examples, rows):
    tally = task.tally(metric, answers, examples)
    expected = task.metrics([answers[row] for row in rows], [examples[row] for row in rows])
    assert tally.score(tally.counts[rows].sum(0)) == pytest.approx(expected[metric], abs=1e-12)


def test_a_score_that_is_no_function_of_counts_has_no_tally():
    assert ClassificationTask(labels=LABELS).tally("loss", [], []) is None
    assert TaggingTask(labels=("x",)).tally("accuracy", [], []) is None
    assert MultipleChoiceTask().tally("accuracy", [], []) is None


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
