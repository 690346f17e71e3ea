"""Integrated gradients: completeness, what is its own baseline, which label is explained."""

import dataclasses

import numpy as np
import pytest

from kbert.errors import DataError
from kbert.inference.answerer import Answerer
from kbert.inference.views.contributions import Contributions, contributions_forward
from kbert.tasks.classification import ClassificationTask
from kbert.tasks.multilabel import MultiLabelTask
from kbert.tasks.regression import RegressionTask
from tests.inference.views.models import finetuned, tokenizer

LABELS = ("bad", "good", "中性")
TASKS = {
    "classification": ClassificationTask(labels=LABELS, sequence_length=16),
    "pairs": ClassificationTask(labels=LABELS, second_column="second", sequence_length=16),
    "multilabel": MultiLabelTask(labels=LABELS, sequence_length=16, head="mean"),
    "regression": RegressionTask(mean=2.0, deviation=1.5, sequence_length=16),
    "features": ClassificationTask(labels=LABELS, sequence_length=16, features="second-to-last"),
}
TEXTS = [{"text": "The film was good, we saw it"}, {"text": "bad 今天气 [MASK]"}, {"text": ""}]


def explaining(task, steps=50, scale=0.3):
    view = Contributions(16, task.takes_pairs, getattr(task, "labels", ()))
    checkpoint = finetuned(task, scale)
    forward = contributions_forward(checkpoint.model, task, steps)
    return Answerer(view, tokenizer(), forward), Answerer(task, tokenizer(), checkpoint.model)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_contributions_add_up_to_the_change(task):
    explained, answerer = explaining(task)
    instances = [{**text, "second": "bad music"} if task.takes_pairs else text for text in TEXTS]
    found, answers = explained.predict(instances), answerer.predict(instances)
    for one, answer in zip(found, answers, strict=True):
        total = sum(token["contribution"] for token in one["tokens"])
        assert total == pytest.approx(one["answer"] - one["baseline"], abs=2e-4)
        values = answer.get("probabilities", {None: answer.get("value")})
        assert one["answer"] == pytest.approx(values[one.get("label")], abs=1e-5)
        # [CLS], [SEP] are the same in the baseline.
        special = [t["contribution"] for t in one["tokens"] if t["text"] is None]
        np.testing.assert_allclose(special, 0, atol=1e-7)
    assert abs(found[0]["answer"] - found[0]["baseline"]) > 1e-3


def test_more_steps_come_nearer():
    def error(steps):
        explained, _ = explaining(TASKS["regression"], steps, scale=0.6)
        (one,) = explained.predict(TEXTS[:1])
        total = sum(token["contribution"] for token in one["tokens"])
        return abs(total - one["answer"] + one["baseline"])

    assert error(64) < 0.1 * error(2)


def test_the_label_asked_for_is_explained():
    explained, answerer = explaining(TASKS["classification"])
    (answer,) = answerer.predict(TEXTS[:1])
    (likeliest,) = explained.predict(TEXTS[:1])
    assert likeliest["label"] == answer["label"]
    instances = [{**TEXTS[0], "label": label} for label in LABELS]
    found = explained.predict(instances)
    assert [one["label"] for one in found] == list(LABELS)
    for one in found:
        assert one["answer"] == pytest.approx(answer["probabilities"][one["label"]], abs=1e-5)
    # Probabilities sum to 1, and so their changes to 0, token by token.
    sums = np.sum([[t["contribution"] for t in one["tokens"]] for one in found], axis=0)
    np.testing.assert_allclose(sums, 0, atol=1e-5)
    with pytest.raises(DataError, match="label must be one of bad, good, 中性"):
        explained.predict([{**TEXTS[0], "label": "none"}])


def test_the_model_answers_as_before():
    """What is built on the model's layers does not change them."""
    task = dataclasses.replace(TASKS["classification"])
    checkpoint = finetuned(task)
    answerer = Answerer(task, tokenizer(), checkpoint.model)
    before = answerer.predict(["the film was good"])
    view = Answerer(
        Contributions(16, labels=LABELS), tokenizer(), contributions_forward(checkpoint.model, task)
    )
    view.predict(TEXTS)
    assert answerer.predict(["the film was good"]) == before
