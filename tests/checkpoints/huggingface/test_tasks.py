"""Which task config.json describes; every task with every setting goes out and comes back."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest

from kbert.checkpoints.huggingface.tasks import (
    ARCHITECTURES,
    architecture_of,
    read_task,
    task_fields,
    with_rows,
)
from kbert.checkpoints.weight_files import Source
from kbert.errors import DataError
from kbert.tasks import TASKS
from kbert.tasks.tagging import TaggingTask

FILE = pathlib.Path("config.json")
TEXTS, WORDS, QUESTIONS, CHOICES = ARCHITECTURES
# Of each setting another value than the default.
OTHER = {
    "labels": ("no", "perhaps", "yes"),
    "sequence_length": 96,
    "text_column": "body",
    "second_column": "other",
    "label_column": "class",
    "delimiter": ";",
    "id_column": "number",
    "header": False,
    "dropout": 0.3,
    "class_weights": "balanced",
    "label_smoothing": 0.1,
    "label_separator": ";",
    "threshold": 0.4,
    "plain": True,
    "characters": True,
    "word_column": 1,
    "tag_column": 2,
    "document_context": True,
    "valid_tags": True,
    "stride": 16,
    "max_question_length": 12,
    "max_answer_length": 7,
    "n_best": 3,
    "rules": "cmrc",
    "unanswerable": True,
    "null_threshold": -1.5,
}
# What transformers' models have no layers for.
REFUSED = {
    "crf": {"crf": True},
    "features": {"features": "last"},
    "lstm_size": {"lstm_size": 8},
    "head": {"head": "mean"},
}
# What the weights hold there.
UNITS = {"mean": 2.0, "deviation": 3.0}
# Vectors of texts are sentence-transformers', not transformers'.
ITS = [name for name in TASKS if name != "similarity"]
SETTINGS = [(name, field.name) for name in ITS for field in dataclasses.fields(TASKS[name])]


def through_config(task):
    """The task that transformers' config.json gives back."""
    fields = json.loads(json.dumps(task_fields(task)))
    return read_task(FILE, fields, architecture_of(task), 512)


@pytest.mark.parametrize(("name", "setting"), SETTINGS)
def test_every_setting_goes_out_and_comes_back(name, setting):
    required = {"labels": OTHER["labels"]} if ("labels" in TASKS[name].__dict__) else {}
    if setting in UNITS:
        task = TASKS[name](**required, **{setting: UNITS[setting]})
        assert through_config(task) == (TASKS[name](**required), None)
        return
    changes = REFUSED.get(setting) or {setting: OTHER[setting]}
    if setting in ("features", "lstm_size") and name not in ("tagging", "qa"):
        changes = changes | {"head": "bilstm"}
    task = TASKS[name](**required | changes)
    if setting in REFUSED:
        with pytest.raises(DataError, match="transformers' BERT has no place for"):
            architecture_of(task)
    else:
        assert through_config(task) == (task, None)


def test_a_task_that_it_does_not_have():
    with pytest.raises(DataError, match="transformers has no model for the task similarity"):
        architecture_of(TASKS["similarity"]())


def test_settings_of_others_are_not_kberts():
    fields = task_fields(TASKS["qa"](n_best=3))
    fields["task_specific_params"]["other"] = fields["task_specific_params"].pop("kbert")
    assert read_task(FILE, fields, QUESTIONS, 384).task == TASKS["qa"]()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "tagging"}, "must be of a task of BertForSequenceC.*Received: 'tagging'"),
        ({"colour": "red"}, "unknown settings colour"),
        ({"labels": ["a", "b"]}, "must have the labels of id2label, no, yes. Received: a, b"),
    ],
)
def test_settings_that_do_not_fit(change, said):
    fields = task_fields(TASKS["classification"](labels=("no", "yes")))
    fields["task_specific_params"]["kbert"] |= change
    with pytest.raises(DataError, match=f"kbert in config.json.*{said}"):
        read_task(FILE, fields, TEXTS, 512)


@pytest.mark.parametrize(
    ("fields", "labels"),
    [
        ({}, ("LABEL_0", "LABEL_1")),
        ({"num_labels": 3}, ("LABEL_0", "LABEL_1", "LABEL_2")),
        ({"id2label": {"0": "no", "1": "yes"}}, ("no", "yes")),
        ({"label2id": {"yes": 1, "no": 0}}, ("no", "yes")),
        ({"id2label": {"0": "a", "1": "b"}, "label2id": {"LABEL_0": 0, "LABEL_1": 1}}, ("a", "b")),
        ({"id2label": {"0": "a", "1": "b"}, "label2id": {"a": "0", "b": "1"}}, ("a", "b")),
    ],
)
def test_labels(fields, labels):
    assert read_task(FILE, fields, TEXTS, 64).task.labels == labels


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"id2label": {"0": "no", "2": "yes"}}, "from 0 in id2label"),
        ({"id2label": ["no"]}, "object as id2label"),
        ({"id2label": 5}, "object as id2label"),
        ({"id2label": {"0": "no", "1": "no"}}, "once in id2label"),
        ({"label2id": ["no"]}, "object as label2id"),
        ({"label2id": {"no": 0, "yes": 0}}, "once in label2id"),
        ({"label2id": {"no": 1, "yes": 2}}, "from 0 in id2label"),
        ({"id2label": {"0": "a", "1": "b"}, "label2id": {"a": 1, "b": 0}}, "'a' alike.*0 and 1"),
        ({"id2label": {"0": "a", "1": "b"}, "num_labels": 3}, "name 3 labels in id2label"),
        ({"num_labels": 10**9}, "Received: 1000000000"),
        ({"num_labels": "two"}, "Received: 'two'"),
        ({"num_labels": 3, "problem_type": "regression"}, "'regression' with 3 labels"),
        ({"problem_type": "ranking"}, "must have a problem_type of"),
    ],
)
def test_labels_that_do_not_fit(fields, said):
    with pytest.raises(DataError, match=f"config.json.*{said}"):
        read_task(FILE, fields, TEXTS, 64)


def numbered(*tags):
    return {"id2label": {str(number): tag for number, tag in enumerate(tags)}}


def test_plain_tags_keep_their_order():
    task, rows = read_task(FILE, numbered("VERB", "NOUN", "O"), WORDS, 64)
    assert (task.tags, task.plain, rows) == (("VERB", "NOUN", "O"), True, None)


def test_a_tag_that_the_training_data_had_not():
    """Public models of CoNLL 2003 in IOB1 lack a B-; its logit is far below every other."""
    tags = ("I-PER", "O", "B-LOC", "I-LOC")
    task, rows = read_task(FILE, numbered(*tags), WORDS, 64)
    assert task == TaggingTask(labels=("LOC", "PER"), sequence_length=64)
    assert task.tags == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    arrays = {
        "classifier.weight": np.arange(8.0).reshape(4, 2),
        "classifier.bias": np.arange(4.0),
        "other": np.ones(4),
    }
    shapes = {name: array.shape for name, array in arrays.items()}
    source = with_rows(Source(FILE, shapes, lambda name: arrays[name].copy()), WORDS, rows)
    assert source.shapes == {"classifier.weight": (5, 2), "classifier.bias": (5,), "other": (4,)}
    expected = [[2, 3], [4, 5], [6, 7], [0, 0], [0, 1]]
    np.testing.assert_array_equal(source.read("classifier.weight"), expected)
    np.testing.assert_array_equal(source.read("classifier.bias"), [1, 2, 3, -1e4, 0])
    np.testing.assert_array_equal(source.read("other"), np.ones(4))


@pytest.mark.parametrize("tags", [("B", "I", "O"), ("O", "I_A", "B_A"), ("A-I", "O", "A-B")])
def test_tags_in_other_words(tags):
    """Untyped, or written as others write them."""
    task, rows = read_task(FILE, numbered(*tags), WORDS, 64)
    assert task.labels == ("A" if "A" in tags[0] + tags[1] else "",)
    assert tags[rows[0]] == "O"
    assert ["B" in tags[row] for row in rows] == [False, True, False]


@pytest.mark.parametrize(
    "tags", [("B-A", "I-A"), ("O", "B-A", "NOUN"), ("O", "B-A", "E-A"), ("O", "B-A", "B_A")]
)
def test_tags_of_no_scheme(tags):
    with pytest.raises(DataError, match=f"the tag O, and B- or I-.*Received: {', '.join(tags)}"):
        read_task(FILE, numbered(*tags), WORDS, 64)


def test_questions_and_choices_fit_the_encoder():
    questions = read_task(FILE, {}, QUESTIONS, 64).task
    assert (questions.sequence_length, questions.max_question_length) == (64, 16)
    assert read_task(FILE, {}, CHOICES, 64).task.sequence_length == 64
