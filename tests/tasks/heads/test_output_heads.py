"""Heads: padding changes no answer, and every head survives saving and 16 bits."""

import dataclasses
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kbert import build_encoder
from kbert.checkpoints.directory import Checkpoint, copy_weights, load_model, save
from kbert.checkpoints.huggingface.tasks import architecture_of
from kbert.config import BertConfig
from kbert.errors import DataError
from kbert.tasks import TASKS
from kbert.tasks.classification import ClassificationTask
from kbert.tasks.heads.encoder_features import FEATURES
from kbert.tasks.heads.output_heads import HEADS, RECURRENT
from kbert.tasks.question_answering import QuestionAnsweringTask
from kbert.tasks.tagging import TaggingTask

CONFIG = BertConfig(
    12, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16, max_sequence_length=16
)
FIVE = dataclasses.replace(CONFIG, num_layers=5)
TOKENIZER = SimpleNamespace(vocabulary=[str(i) for i in range(12)], options={})


def model_of(task, config=CONFIG):
    keras.utils.set_random_seed(0)
    model = task.build_model(build_encoder(config))
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.normal(scale=0.5, size=weight.shape))
    return model


def classifier(head, features=None):
    size = 3 if head in RECURRENT else None
    return ClassificationTask(
        labels=("a", "b", "c"), head=head, features=features, lstm_size=size, sequence_length=16
    )


@pytest.fixture(scope="module")
def models():
    return {head: model_of(classifier(head)) for head in HEADS}


def inputs(rows, length):
    ids = np.zeros((len(rows), length), "int32")
    for number, row in enumerate(rows):
        ids[number, : len(row)] = row
    mask = (ids > 0).astype("int32")
    return {"token_ids": ids, "segment_ids": np.zeros_like(ids), "padding_mask": mask}


def numpy(tensor):
    return keras.ops.convert_to_numpy(tensor).astype("float32")


row = st.lists(st.integers(1, 11), min_size=1, max_size=8)


@pytest.mark.parametrize("head", HEADS)
@settings(max_examples=5)
@given(rows=st.lists(row, min_size=1, max_size=3), padding=st.integers(0, 8))
def test_padding_changes_no_answer(models, head, rows, padding):
    together = numpy(models[head](inputs(rows, 8 + padding))["logits"])
    for number, alone in enumerate(rows):
        expected = numpy(models[head](inputs([alone], len(alone)))["logits"])
        np.testing.assert_allclose(together[number], expected[0], atol=1e-5)


@pytest.mark.parametrize("direction", ["both", "left"])
def test_heads_that_take_the_token_that_has_seen_all(direction):
    """The first, or the last of each row; with the largest values and the mean beside it."""
    config = dataclasses.replace(CONFIG, direction=direction)
    batch = inputs([[1, 2, 3, 4], [5, 6]], 6)
    places = [0, 0] if direction == "both" else [3, 1]

    model = model_of(classifier("concat"), config)
    encoder = keras.Model(model.input, model.get_layer("block_0").output)
    states = numpy(encoder(batch))
    rows = [states[number, :length] for number, length in enumerate((4, 2))]
    expected = [
        np.concatenate([row[place], row.max(axis=0), row.mean(axis=0)])
        for row, place in zip(rows, places, strict=True)
    ]
    dense = model.get_layer("classifier")
    logits = np.stack(expected) @ numpy(dense.kernel) + numpy(dense.bias)
    np.testing.assert_allclose(numpy(model(batch)["logits"]), logits, atol=1e-5)

    model = model_of(classifier("block"), config)
    states = numpy(keras.Model(model.input, model.get_layer("head_block").output)(batch))
    dense = model.get_layer("classifier")
    logits = states[[0, 1], places] @ numpy(dense.kernel) + numpy(dense.bias)
    np.testing.assert_allclose(numpy(model(batch)["logits"]), logits, atol=1e-5)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("architecture", ["bilstm", "cnn", "bag"])
def test_a_far_token_counts_for_every_head(architecture, head):
    config = dataclasses.replace(CONFIG, architecture=architecture)
    model = model_of(classifier(head), config)
    batch = inputs([[1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 3, 4, 5, 6, 7, 8, 10]], 12)
    one, other = numpy(model(batch)["logits"])
    assert np.abs(one - other).max() > 1e-3


@pytest.mark.parametrize("head", HEADS)
def test_saved_and_loaded_answers_the_same(models, head, tmp_path):
    save(tmp_path, Checkpoint(models[head], TOKENIZER, CONFIG, classifier(head)))
    loaded, _, task = load_model(tmp_path)
    assert task == classifier(head)
    batch = inputs([[1, 2, 3, 4], [5]], 6)
    expected = models[head](batch)["logits"]
    np.testing.assert_array_equal(numpy(loaded(batch)["logits"]), numpy(expected))


@pytest.mark.parametrize(
    ("policy", "heads"), [("mixed_bfloat16", ["bilstm"]), ("mixed_float16", ["max", "rcnn"])]
)
def test_16_bits(models, precision, policy, heads):
    """An empty row, as the last batch of an epoch has, must not become a NaN there."""
    precision(policy)
    batch = inputs([[1, 2, 3, 4], [5], []], 6)
    for head in heads:
        half = model_of(classifier(head))
        assert half.output["logits"].dtype == "float32"
        logits = numpy(half(batch)["logits"])
        assert np.isfinite(logits).all(), head
        expected = numpy(models[head](batch)["logits"])
        np.testing.assert_allclose(logits[:2], expected[:2], atol=0.4)


@pytest.mark.parametrize(
    "task",
    [TaggingTask(labels=("X",), lstm_size=3), QuestionAnsweringTask(lstm_size=3)],
    ids=lambda task: task.name,
)
def test_a_bilstm_on_an_encoder_that_learns(task):
    """It reads a text alone, whatever stands in the batch; the encoder below it learns on."""
    model = model_of(task)
    output = next(iter(model.output))
    rows = [[1, 2, 3, 4], [5, 6]]
    together = numpy(model(inputs(rows, 9))[output])
    for number, row in enumerate(rows):
        alone = numpy(model(inputs([row], len(row)))[output])
        np.testing.assert_allclose(together[number, : len(row)], alone[0], atol=1e-5)
    assert model.get_layer("block_0").trainable and model.get_layer("bilstm").size == 3
    assert task.packed(model, build_encoder(CONFIG)) is None
    without = dataclasses.replace(task, lstm_size=None)
    assert "bilstm" not in [layer.name for layer in model_of(without).layers]


@pytest.mark.parametrize("task", ["regression", "multilabel"])
def test_every_task_on_texts_has_heads(task):
    task = TASKS[task](head="attention")
    if task.name == "multilabel":
        task = dataclasses.replace(task, labels=("a", "b"))
    layers = task.build_model(build_encoder(CONFIG)).layers
    assert "attention_pooling" in [layer.name for layer in layers]


def test_features_are_the_hidden_states_of_their_names():
    source, batch = build_encoder(FIVE, ("hidden_states",)), inputs([[1, 2, 3]], 4)
    states = [numpy(x) for x in source(batch)["hidden_states"]]
    expected = {
        "embeddings": states[0],
        "second-to-last": states[4],
        "last": states[5],
        "sum-last-four": states[2] + states[3] + states[4] + states[5],
        "weighted-sum-last-four": np.concatenate(states[2:], axis=-1),
        "weighted-sum-all": np.concatenate(states[1:], axis=-1),
        "weighted-sum-elmo": np.concatenate(states, axis=-1),
        "concat-last-four": np.concatenate(states[2:], axis=-1),
    }
    encoder = build_encoder(FIVE)
    copy_weights(source, encoder)
    for name in FEATURES:
        model = TaggingTask(labels=("X",), features=name, lstm_size=3).build_model(encoder)
        body = keras.Model(model.input, model.get_layer("encoder_features").output)
        np.testing.assert_allclose(numpy(body(batch)), expected[name], atol=1e-5)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: ClassificationTask(head="best"), "head must be one of pooler, mean"),
        (lambda: TaggingTask(features="first"), "features must be one of embeddings"),
        (lambda: TaggingTask(lstm_size=0), "lstm_size must be in .1, 4096.. Received: 0"),
        (lambda: architecture_of(TaggingTask(lstm_size=8)), "no place for a BiLSTM"),
        (lambda: architecture_of(QuestionAnsweringTask(lstm_size=8)), "no place for a BiLSTM"),
        (
            lambda: ClassificationTask(lstm_size=8),
            "lstm_size needs a head with an LSTM, bilstm or rcnn. Received: 8 without",
        ),
        (
            lambda: ClassificationTask(head="pooler", features="last"),
            "The head pooler reads the encoder's last",
        ),
        (lambda: architecture_of(classifier("rcnn")), "no place for the head rcnn"),
        (lambda: architecture_of(TaggingTask(features="last")), "no place for a BiLSTM on last"),
        (
            lambda: TaggingTask(labels=("X",), features="sum-last-four").build_model(
                build_encoder(dataclasses.replace(CONFIG, num_layers=3))
            ),
            "need an encoder of 4 layers at least. Received: 3",
        ),
    ],
)
def test_what_does_not_fit_is_refused(make, expected):
    with pytest.raises(DataError, match=expected):
        make()
