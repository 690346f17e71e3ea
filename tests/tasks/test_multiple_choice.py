"""Multiple choice: rows of several sequences, of different numbers; one score for each."""

import json

import keras
import numpy as np
import pytest

from kbert import BertConfig, build_encoder
from kbert.errors import DataError
from kbert.inference.answering import answer_features
from kbert.tasks import TASKS
from kbert.tasks.features import pad_batch
from kbert.tasks.multiple_choice import MultipleChoiceTask
from kbert.tasks.readers.choice_files import ChoiceExample
from tests.tasks.rows import tokenizer

CONFIG = BertConfig(30, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=8)
TASK = MultipleChoiceTask(sequence_length=12)
EXAMPLES = [
    ChoiceExample("a bb", None, ("c", "dd e"), 1, "here"),
    ChoiceExample("a", "who ?", ("c", "dd e", "fff"), 0, "here"),
    ChoiceExample("a bb " * 9, None, ("c", "d"), None, "here"),
]
UNLABELLED = [example._replace(label=None) for example in EXAMPLES]


def test_a_sequence_for_each_choice():
    features = TASK.encode(EXAMPLES, tokenizer)
    # [CLS] a bb [SEP] c [SEP] and [CLS] a bb [SEP] dd e [SEP].
    assert features[0].inputs["token_ids"].tolist() == [
        [1, 11, 12, 2, 11, 2, 0],
        [1, 11, 12, 2, 12, 11, 2],
    ]
    assert features[1].inputs["token_ids"][0].tolist() == [1, 11, 2, 13, 11, 11, 2, 0]
    assert [f.cut for f in features] == [False, False, True]
    assert (features[0].targets["label"], features[2].targets) == (1, {})
    inputs, _, _ = pad_batch(features[:2], 8, 4)
    assert inputs["padding_mask"].shape == (4, 3, 8)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(3)
    return TASK.build_model(build_encoder(CONFIG))


def test_choices_are_scored_one_by_one(model):
    """In a row with others, padded or alone, the score of a choice is the same."""
    features = TASK.encode(UNLABELLED, tokenizer)
    inputs, _, _ = pad_batch(features, 12, 4)
    logits = keras.ops.convert_to_numpy(model(inputs)["logits"])
    assert logits.shape == (4, 3)
    assert np.isfinite(logits).all()
    for row, (feature, example) in enumerate(zip(features, EXAMPLES, strict=True)):
        for number in range(len(example.choices)):
            alone = {name: x[None, [number]] for name, x in feature.inputs.items()}
            score = keras.ops.convert_to_numpy(model(alone)["logits"])[0, 0]
            assert logits[row, number] == pytest.approx(score, abs=1e-5)
        assert (logits[row, len(example.choices) :] < -1e8).all()
    assert (logits[3] < -1e8).all()


def test_answers_know_only_the_rows_own_choices(model):
    features = TASK.encode(UNLABELLED, tokenizer)
    answers = answer_features(TASK, model, features, UNLABELLED, 8)
    for answer, example in zip(answers, UNLABELLED, strict=True):
        assert len(answer["probabilities"]) == len(example.choices)
        assert sum(answer["probabilities"]) == pytest.approx(1)
        assert answer["choice"] == example.choices[answer["label"]]
        assert answer["score"] == max(answer["probabilities"])
    json.dumps(answers)


def test_weights_keep_the_encoders_names(model):
    paths = {weight.path for weight in model.weights}
    assert {weight.path for weight in build_encoder(CONFIG).weights} <= paths


def test_objective_is_the_softmax_over_the_choices():
    logits = np.array([[2.0, 0.0, -1e9], [0.0, 1.0, 3.0]], "float32")
    label, weight = np.array([0, 1], "int32"), np.array([0.25, 0.75], "float32")
    sums = TASK.objective({"logits": logits}, {"label": label}, {"label": weight})
    losses = [
        -np.log(np.exp(2) / (np.exp(2) + 1)),
        -np.log(np.e / (1 + np.e + np.exp(3))),
    ]
    assert float(sums["loss"]) == pytest.approx(weight @ losses, rel=1e-5)
    assert float(sums["accuracy"]) == pytest.approx(0.25)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_batch_that_is_not_full_has_the_loss_of_its_rows(model, smoothing):
    task = MultipleChoiceTask(sequence_length=12, label_smoothing=smoothing)
    features = task.encode(EXAMPLES[:2], tokenizer)
    losses = []
    for rows in (2, 4):
        inputs, targets, weights = pad_batch(features, 12, rows)
        losses.append(float(task.objective(model(inputs), targets, weights)["loss"]))
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


def test_metrics_of_answers():
    answers = [
        {"label": 1, "probabilities": [0.25, 0.75]},
        {"label": 1, "probabilities": [0.5, 0.5, 0.0]},
    ]
    scores = TASK.metrics(answers, EXAMPLES[:2])
    assert scores["accuracy"] == 0.5
    assert scores["loss"] == pytest.approx(-(np.log(0.75) + np.log(0.5)) / 2)
    assert scores["chance"] == pytest.approx((1 / 2 + 1 / 3) / 2)


def test_parse():
    line = '{"context": "a", "question": "b", "choices": ["c", "d"]}'
    assert TASK.parse(line, "here") == ChoiceExample("a", "b", ("c", "d"), None, "here")
    for instance in ("a", "5", {"context": "a"}, {"context": "a", "choices": ["b", "c"], "x": 1}):
        with pytest.raises(DataError, match="here: expected"):
            TASK.parse(instance, "here")


def test_json_gives_back_the_task():
    stored = json.loads(json.dumps({"name": TASK.name, **TASK.to_json()}))
    assert TASKS[stored["name"]].from_json(stored) == TASK
