"""Question answering in a graph, with every option, against `QuestionAnsweringTask.decode`."""

import pytest

from kbert import QuestionAnsweringTask
from tests.serving.graph.by_hand import LONG, TEXTS, check, waves

INSTANCES = [
    {"text": question, "second": context}
    for question in ("who saw the film ?", "", LONG)
    for context in TEXTS
]
SHORT = {"sequence_length": 20, "stride": 6, "max_question_length": 5}


def forward(inputs):
    logits = waves(inputs["token_ids"], 2)
    return {"start_logits": logits[:, :, 0], "end_logits": logits[:, :, 1]}


@pytest.mark.parametrize(
    ("task", "options"),
    [
        (QuestionAnsweringTask(**SHORT), {}),
        (QuestionAnsweringTask(**SHORT, unanswerable=True, null_threshold=-2.0, n_best=3), {}),
        (
            QuestionAnsweringTask(
                **{**SHORT, "stride": 30}, unanswerable=True, max_answer_length=1, rules="cmrc"
            ),
            {"lowercase": False, "split_chinese": False},
        ),
        (QuestionAnsweringTask(n_best=1, max_answer_length=500), {"strip_accents": False}),
    ],
)
def test_every_option(task, options):
    answers = check(task, forward, INSTANCES, **options)
    if task.unanswerable:
        assert {answer["start"] is None for answer in answers} == {True, False}
    assert any(len(answer["text"]) > 1 for answer in answers)
