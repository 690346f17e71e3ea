"""Multiple choice: the graph, the predictor, the commands and HTTP answer as the Keras model."""

import json

import numpy as np
import pytest
import tensorflow as tf
from starlette.testclient import TestClient

from apps.cli import run_command
from kbert import Predictor
from kbert.errors import DataError
from kbert.inference.answerer import Answerer
from kbert.serving.graph.multiple_choice import MultipleChoiceGraph
from kbert.serving.http.app import application
from kbert.tasks.readers.choice_files import ChoiceExample
from kbert.text.tokenizer import as_strings
from tests.serving.http.served import Models

EXAMPLES = [
    ChoiceExample("the film", None, ("was good", "was bad", "saw it"), None, "here"),
    ChoiceExample("we saw it", "good ?", ("film", "music !"), None, "here"),
    ChoiceExample("今天天气", None, ("很好", "bad " * 30), None, "here"),
    ChoiceExample(
        "we saw " * 9, "the music", ("film", "good", "bad", "saw", "it", "we", "!"), None, ""
    ),
    ChoiceExample("go\ud800od", "film", ("was", "\ud800 Élan"), None, "here"),
]
FIELDS = ("context", "question", "choices")
INSTANCES = [{name: getattr(example, name) for name in FIELDS} for example in EXAMPLES]


@pytest.fixture(scope="module")
def expected(choice):
    model, tokenizer, _, task = choice[0]
    return Answerer(task, tokenizer, model, batch_size=2).answer(EXAMPLES)


@pytest.fixture(scope="module")
def predictor(choice):
    return Predictor(choice[1], batch_size=4)


def check(answers, expected):
    for answer, wanted in zip(answers, expected, strict=True):
        assert set(answer) == set(wanted)
        assert (answer["label"], answer["choice"]) == (wanted["label"], wanted["choice"])
        assert answer["score"] == pytest.approx(wanted["score"], abs=1e-5)
        assert answer["probabilities"] == pytest.approx(wanted["probabilities"], abs=1e-5)


def padded(rows=EXAMPLES):
    """The rows as one batch of tensors, "" where a row has no such choice."""
    width = max(len(example.choices) for example in rows)
    choices = [[*example.choices, *[""] * (width - len(example.choices))] for example in rows]
    return {
        "context": as_strings([example.context for example in rows]),
        "question": as_strings([example.question or "" for example in rows]),
        "choices": tf.stack([as_strings(row) for row in choices]),
    }


def test_strings_become_the_task_s_own_inputs(choice):
    _, tokenizer, _, task = choice[0]
    found = MultipleChoiceGraph(task, tokenizer, None).inputs(**padded())
    assert found["token_ids"].shape == (5, 7, 12)
    for row, feature in enumerate(task.encode(EXAMPLES, tokenizer)):
        choices, length = feature.inputs["token_ids"].shape
        mask = found["padding_mask"][row].numpy()
        assert not mask[choices:].any()
        assert not mask[:, length:].any()
        for name, values in feature.inputs.items():
            np.testing.assert_array_equal(found[name][row, :choices, :length], values)


def test_signatures_answer_as_the_keras_model(choice, expected):
    checkpoint, folder = choice
    signatures = tf.saved_model.load(folder / "1").signatures
    by_text = signatures["serving_default"](**padded())
    for row, wanted in enumerate(expected):
        count = len(wanted["probabilities"])
        probabilities = by_text["probabilities"][row].numpy()
        assert probabilities[:count] == pytest.approx(wanted["probabilities"], abs=1e-5)
        assert not probabilities[count:].any()
        assert int(by_text["label"][row]) == wanted["label"]
        chosen = by_text["choice"][row].numpy().decode("utf-8", "surrogatepass")
        assert chosen == wanted["choice"]
    inputs = MultipleChoiceGraph(checkpoint.task, checkpoint.tokenizer, None).inputs(**padded())
    by_tokens = signatures["token_ids"](**inputs)
    assert set(by_text) - set(by_tokens) == {"choice"}
    for name, values in by_tokens.items():
        np.testing.assert_allclose(values, by_text[name], atol=1e-6)
    assert len({wanted["label"] for wanted in expected}) > 1


def test_the_predictor_answers_as_the_keras_model(predictor, expected):
    assert predictor.fields == FIELDS
    check(predictor.predict(INSTANCES), expected)
    for instance, wanted in zip(INSTANCES, expected, strict=True):
        given = {name: value for name, value in instance.items() if value is not None}
        check(predictor.predict([given | {"choices": list(given["choices"])}]), [wanted])
    json.dumps(predictor.predict([predictor.example_instance]))


@pytest.mark.parametrize(
    "instance",
    [
        "a text",
        {"context": "a"},
        {"context": "a", "choices": "bc"},
        {"context": "a", "choices": ["b"]},
        {"context": "a", "choices": ["b", ""]},
        {"context": "a", "choices": ["b", " \n"]},
        {"context": "a", "choices": ["b", None]},
        {"context": "a", "choices": ["b"] * 257},
        {"context": "a", "question": 5, "choices": ["b", "c"]},
        {"context": None, "choices": ["b", "c"]},
        {"context": "a", "choices": ["b", "c"], "label": 0},
        {"text": "a"},
    ],
)
def test_instances_that_are_refused(predictor, instance):
    with pytest.raises(DataError, match="^Instance 0: expected .*[.:]"):
        predictor.predict([instance])


def test_predict_and_http(choice, predictor, expected, tmp_path, capsys):
    checkpoint, folder = choice
    path = tmp_path / "rows.jsonl"
    rows = [{"context": e.context, "question": e.question, "choices": e.choices} for e in EXAMPLES]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    assert run_command("predict", [str(folder), str(path)]) == 0
    check(map(json.loads, capsys.readouterr().out.splitlines()), expected)
    app = application(Models(story=predictor))
    with TestClient(app) as client:
        found = client.post(
            "/v1/models/story:predict", content=json.dumps({"instances": INSTANCES})
        )
        check(found.json()["predictions"], expected)
