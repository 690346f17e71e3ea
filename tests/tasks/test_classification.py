"""Classification: files to features, outputs to answers; a tokenizer of whole words stands in."""

import json
import os
from pathlib import Path

import keras
import numpy as np
import pytest
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_class_weight

from kbert.errors import DataError
from kbert.tasks import TASKS
from kbert.tasks.classification import ClassificationTask, TextExample
from kbert.tasks.readers.labels import sort_labels
from tests.tasks.rows import tokenizer, write

DATA = Path(os.environ.get("KBERT_DATA", Path(__file__).parents[3] / "shared" / "data"))
PAIRS = ClassificationTask(second_column="second", labels=("no", "yes"))
SINGLE = ClassificationTask(labels=("no", "yes"))


def example(text="a", second=None, label=None):
    return TextExample(text, second, label, "here")


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["b", "a"], ("a", "b")),
        (["10", "2", "1"], ("1", "2", "10")),
        (["0.5", "-1"], ("-1", "0.5")),
        (["1", "a"], ("1", "a")),
        (["nan", "2", "10"], ("10", "2", "nan")),
        (["2", "nan", "10"], ("10", "2", "nan")),
    ],
)
def test_labels_are_sorted(labels, expected):
    assert sort_labels(labels) == expected


def test_labels_and_weights_come_from_the_training_rows():
    labels = ["b", "a", "a", "a", "b", "c"]
    task = ClassificationTask(class_weights="balanced").prepare(
        [example(label=label) for label in labels], "train.tsv"
    )
    assert task.labels == ("a", "b", "c")
    expected = compute_class_weight("balanced", classes=np.array(task.labels), y=labels)
    assert [task.class_weights[label] for label in task.labels] == pytest.approx(expected)
    features = task.encode([example(label="c"), example(label="a")], tokenizer)
    assert [float(f.weights["label"]) for f in features] == pytest.approx(expected[[2, 0]])
    assert [int(f.targets["label"]) for f in features] == [2, 0]


def test_json_gives_back_the_task():
    task = ClassificationTask(
        labels=("no", "yes"), class_weights={"no": 1.0, "yes": 2.0}, second_column="b", header=False
    )
    stored = json.loads(json.dumps({"name": task.name, **task.to_json()}))
    assert TASKS[stored["name"]].from_json(stored) == task
    with pytest.raises(DataError, match="task.json: unknown settings colour"):
        ClassificationTask.from_json({"colour": "red"})


def test_features_have_no_padding_and_say_what_was_cut():
    task = ClassificationTask(labels=("no", "yes"), sequence_length=6)
    texts = ["one", "a b c d", "a b c d e", "a b c d e f g h"]
    features = task.encode([example(text) for text in texts], tokenizer)
    assert [feature.length for feature in features] == [3, 6, 6, 6]
    # Four words and two special tokens just fit.
    assert [feature.cut for feature in features] == [False, False, True, True]
    assert [feature.example for feature in features] == [0, 1, 2, 3]
    assert features[0].inputs["token_ids"].tolist() == [1, 13, 2]
    assert features[0].targets == {}


def test_pairs():
    (feature,) = PAIRS.encode([example("a", "to be")], tokenizer)
    assert feature.inputs["token_ids"].tolist() == [1, 11, 2, 12, 12, 2]


def test_objective_is_the_weighted_mean():
    logits = np.array([[2.0, 0.0], [0.0, 1.0], [3.0, -1.0]], "float32")
    label = np.array([0, 1, 1], "int32")
    weight = np.array([0.5, 0.25, 0.25], "float32")
    sums = SINGLE.objective({"logits": logits}, {"label": label}, {"label": weight})
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = log_loss(label, probabilities, sample_weight=weight)
    assert float(sums["loss"]) == pytest.approx(expected, rel=1e-5)
    assert float(sums["accuracy"]) == pytest.approx(0.75)


def test_answer_by_hand():
    answer = SINGLE.decode([{"logits": np.log([0.25, 0.75])}], example())
    assert answer["label"] == "yes"
    assert answer["score"] == pytest.approx(0.75)
    assert answer["probabilities"] == pytest.approx({"no": 0.25, "yes": 0.75})


def test_metrics_of_answers():
    answers = [
        {"label": "yes", "probabilities": {"no": 0.25, "yes": 0.75}},
        {"label": "yes", "probabilities": {"no": 0.0, "yes": 1.0}},
    ]
    scores = SINGLE.metrics(answers, [example(label="yes"), example(label="no")])
    assert set(SINGLE.metric_names) <= set(scores)
    assert scores["accuracy"] == 0.5
    assert np.isfinite(scores["loss"])
    assert "right \\ predicted" in SINGLE.report(scores)
    json.dumps(scores)


def test_model_has_float32_logits_in_every_precision():
    inputs = {"token_ids": keras.Input((None,), dtype="int32", name="token_ids")}
    embedded = keras.layers.Embedding(9, 4, dtype="mixed_bfloat16")(inputs["token_ids"])
    outputs = {"sequence_output": embedded, "pooled_output": embedded[:, 0]}
    encoder = keras.Model(inputs, outputs)
    model = SINGLE.build_model(encoder)
    assert model.output["logits"].shape == (None, 2)
    assert model.output["logits"].dtype == "float32"


@pytest.mark.parametrize(
    ("instance", "task", "expected"),
    [
        ("a text", SINGLE, ("a text", None)),
        ({"text": "a"}, SINGLE, ("a", None)),
        ("a\tb", PAIRS, ("a", "b")),
        ({"text": "a", "second": "b"}, PAIRS, ("a", "b")),
        # Empty texts have answers too.
        ("", SINGLE, ("", None)),
        ("", PAIRS, ("", "")),
    ],
)
def test_parse(instance, task, expected):
    assert task.parse(instance, "here")[:2] == expected


@pytest.mark.parametrize(
    ("instance", "task", "expected"),
    [
        ("only one", PAIRS, "here: expected two texts with one tab"),
        ({"text": "a", "second": "b"}, SINGLE, 'expected a text or {"text": "..."}. Received'),
        ({"text": 5}, SINGLE, 'expected a text or {"text": "..."}'),
        ({"text": "a"}, PAIRS, 'or {"text": "...", "second": "..."}'),
        (["a"], SINGLE, "expected"),
    ],
)
def test_parse_refuses(instance, task, expected):
    with pytest.raises(DataError, match=expected.replace("{", "[{]")):
        task.parse(instance, "here")


def test_labels_that_training_did_not_have_are_named(tmp_path):
    path = write(tmp_path, "text\tlabel\nx\tyes\ny\tmaybe\nz\tnever\n")
    expected = "line 3: .*'maybe', 'never'. Expected: 'no', 'yes'"
    with pytest.raises(DataError, match=expected):
        SINGLE.read_examples(path)
    assert len(SINGLE.read_examples(path, labelled=False)) == 3


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("text\tlabel\n \tyes\n", "line 2: expected a text. It is empty"),
        ("text\tlabel\nx\t \n", "line 2: expected a label. It is empty"),
        ("text\tclass\nx\tyes\n", "no column 'label'. Its columns: 'text', 'class'"),
    ],
)
def test_rows_that_do_not_fit(tmp_path, content, expected):
    with pytest.raises(DataError, match=expected):
        SINGLE.read_examples(write(tmp_path, content))


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["a"] * 4, "expected two labels at least. Found: 'a'"),
        ([str(i) for i in range(30)], "30 different labels in 30 rows; is 'label' the column"),
    ],
)
def test_labels_that_cannot_be_meant(labels, expected):
    with pytest.raises(DataError, match=expected):
        ClassificationTask().prepare([example(label=label) for label in labels], "f")


def test_class_weights_must_fit_the_labels():
    task = ClassificationTask(class_weights={"a": 1.0})
    with pytest.raises(DataError, match="are for 'a'; the file has 'a', 'b'"):
        task.prepare([example(label="a"), example(label="b")], "f")


def test_other_columns_than_in_training():
    task = SINGLE.with_options(text_column="1", header=False, label_column=None)
    assert (task.text_column, task.header, task.label_column) == ("1", False, "label")
    with pytest.raises(DataError, match="takes no second column"):
        SINGLE.with_options(second_column="b")
    with pytest.raises(DataError, match="has no option words"):
        SINGLE.with_options(words="x")


@pytest.mark.parametrize(
    ("name", "settings", "rows", "labels"),
    [
        ("glue/SST-2/dev.tsv", {"text_column": "sentence"}, 872, ("0", "1")),
        (
            "glue/CoLA/dev.tsv",
            {"text_column": "3", "label_column": "1", "header": False},
            1043,
            ("0", "1"),
        ),
        (
            "glue/MRPC/train.tsv",  # begins with a byte-order mark
            {
                "text_column": "#1 String",
                "second_column": "#2 String",
                "label_column": "Quality",
            },
            3667,
            ("0", "1"),
        ),
        (
            "ag_news/test.csv",
            {"text_column": "1", "second_column": "2", "label_column": "0", "header": False},
            7600,
            ("1", "2", "3", "4"),
        ),
        (
            "sick/SICK.txt",  # lines end in CRLF
            {
                "text_column": "sentence_A",
                "second_column": "sentence_B",
                "label_column": "entailment_judgment",
            },
            4927,
            ("CONTRADICTION", "ENTAILMENT", "NEUTRAL"),
        ),
    ],
)
def test_files_as_they_are_published(name, settings, rows, labels):
    if not (DATA / name).exists():
        pytest.skip(f"{DATA / name} is not there; KBERT_DATA names the folder")
    task = ClassificationTask(**settings)
    examples = task.read_examples(DATA / name)
    assert len(examples) == rows
    assert task.prepare(examples, name).labels == labels
