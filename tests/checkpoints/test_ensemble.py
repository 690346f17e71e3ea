"""An ensemble answers with the mean of its members' probabilities, in every command's way."""

import json

import numpy as np
import pytest
from scipy.special import expit, softmax

from apps.cli import run_command
from kbert import export_saved_model, predict, save
from kbert.checkpoints.ensemble import load_ensemble, write_ensemble
from kbert.checkpoints.formats import format_of, load_finetuned
from kbert.errors import DataError
from kbert.layers.averaging import MeanOfOutputs
from kbert.serving.onnx.export import export_onnx
from kbert.serving.served_checkpoint import ServedCheckpoint
from kbert.tasks.classification import ClassificationTask
from kbert.tasks.features import pad_batch
from kbert.tasks.multilabel import MultiLabelTask
from kbert.tasks.multiple_choice import MultipleChoiceTask
from kbert.tasks.question_answering import QuestionAnsweringTask
from kbert.tasks.regression import RegressionTask
from kbert.tasks.similarity import SimilarityTask
from kbert.tasks.tagging import TaggingTask
from tests.layers.contract import numpy
from tests.serving.five_ways import same
from tests.tiny_checkpoint import WORDS, random_checkpoint

TASK = ClassificationTask(sequence_length=16, labels=("bad", "good", "so"))
TEXTS = ["the film was good", "bad music", "", "on a long day"]


LONG = " ".join(WORDS + WORDS[::-1])
# Each task that has a mean, and what it is asked.
TASKS = [
    (TaggingTask(labels=("X", "Y"), sequence_length=12, valid_tags=True), [*TEXTS, LONG]),
    (
        QuestionAnsweringTask(sequence_length=12, stride=4, max_question_length=3),
        [{"question": "was good", "context": text} for text in (TEXTS[0], LONG)],
    ),
    (
        MultipleChoiceTask(sequence_length=12),
        [{"context": "the film", "choices": WORDS[:count]} for count in (2, 4)],
    ),
    (MultiLabelTask(sequence_length=12, labels=("a", "b", "c")), TEXTS),
    (RegressionTask(sequence_length=12, mean=2.0, deviation=3.0), TEXTS),
    (TASK, TEXTS),
]
of_each_task = pytest.mark.parametrize(
    ("task", "instances"), TASKS, ids=lambda value: getattr(value, "name", "")
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ensemble")
    save(folder / "one", random_checkpoint(WORDS, TASK))
    save(folder / "two", random_checkpoint(WORDS, TASK, num_layers=2, hidden_dim=16))
    names = [str(folder / name) for name in ("one", "two")]
    assert run_command("ensemble", [*names, "--output", str(folder / "both")]) == 0
    return folder


def probabilities(path):
    return np.array([list(answer["probabilities"].values()) for answer in predict(path, TEXTS)])


def test_its_probabilities_are_the_mean(folder, tmp_path):
    expected = (probabilities(folder / "one") + probabilities(folder / "two")) / 2
    np.testing.assert_allclose(probabilities(folder / "both"), expected, atol=1e-5)
    assert format_of(folder / "both") == "ensemble"
    assert load_finetuned(folder / "both").task == TASK


@pytest.mark.slow
def test_the_other_commands_take_it(folder, tmp_path, capsys):
    (tmp_path / "rows.tsv").write_text("text\tlabel\nthe film\tbad\nthe day\tso\n", "utf-8")
    both, export = str(folder / "both"), str(tmp_path / "export")
    assert run_command("evaluate", [both, str(tmp_path / "rows.tsv")]) == 0
    assert run_command("export", [both, "--output", export]) == 0
    np.testing.assert_allclose(probabilities(export), probabilities(both), atol=1e-5)
    served = ServedCheckpoint(both)
    assert served.views.lacking == {"attention": "needs-member", "contributions": "needs-member"}
    assert served.answerer.predict(TEXTS)[0]["label"] == predict(both, TEXTS)[0]["label"]
    capsys.readouterr()
    assert run_command("embed", [both, str(tmp_path / "rows.tsv"), "--output", export + ".npy"])
    assert "has no weights of its own. Expected one of its members" in capsys.readouterr().err


def written(folder, task):
    """The ensemble of a task, in a folder, and its members."""
    members = [random_checkpoint(WORDS, task, hidden_dim=size) for size in (8, 16)]
    for number, member in enumerate(members):
        save(folder / str(number), member)
    return write_ensemble(folder / "both", [folder / "0", folder / "1"]), members


@of_each_task
def test_outputs_of_every_task_are_the_mean(tmp_path, task, instances):
    """Of each token, window, choice and label."""
    both, members = written(tmp_path, task)
    functions = {"softmax": lambda x: softmax(x, axis=-1), "sigmoid": expit, "identity": np.array}
    examples = [task.parse(instance, "here") for instance in instances]
    features = task.encode(examples, both.tokenizer)
    inputs, _, _ = pad_batch(features, task.sequence_length, len(features))
    found, *each = (checkpoint.model(inputs) for checkpoint in (both, *members))
    assert set(found) == set(task.links)
    for name, link in task.links.items():
        function = functions[link]
        expected = np.mean([function(numpy(one[name])) for one in each], axis=0)
        np.testing.assert_allclose(function(numpy(found[name])), expected, atol=1e-5)


@pytest.mark.slow
@of_each_task
def test_both_kinds_of_export_answer_as_it_does(tmp_path, task, instances):
    pytest.importorskip("onnxruntime")
    both, _ = written(tmp_path, task)
    expected = predict(tmp_path / "both", instances)
    for export in (export_saved_model, export_onnx):
        export(tmp_path / export.__name__, both)
        assert same(predict(tmp_path / export.__name__, instances), expected)


@pytest.mark.slow
def test_in_8_bits_the_output_layers_of_all_members_are_whole(tmp_path):
    onnx = pytest.importorskip("onnx")
    both, _ = written(tmp_path, TASK)
    target = export_onnx(tmp_path / "small", both, int8=True)
    names = [array.name for array in onnx.load(target / "model.onnx").graph.initializer]
    kept = [name for name in names if name.endswith("classifier/kernel")]
    assert len(kept) == 2 and not [name for name in names if "classifier/kernel_" in name]
    assert [name for name in names if "/kernel_quantized" in name]


@pytest.mark.parametrize(
    ("link", "function"),
    [
        ("softmax", lambda x: softmax(x, axis=-1)),
        ("sigmoid", expit),
        ("identity", lambda x: x),
    ],
)
def test_means_of_outputs(link, function):
    outputs = np.random.default_rng(0).normal(scale=30, size=(3, 4, 5)).astype("float32")
    outputs[:, 0, 0] = -1e9  # A class that a row does not have.
    found = numpy(MeanOfOutputs(link)(list(outputs)))
    assert np.isfinite(found).all()
    expected = function(outputs.astype("float64")).mean(axis=0)
    np.testing.assert_allclose(function(found.astype("float64")), expected, rtol=1e-4, atol=1e-6)


def test_models_without_a_mean_are_refused(folder, tmp_path):
    others = {
        "labels": random_checkpoint(WORDS, ClassificationTask(sequence_length=16, labels=("a",))),
        "pieces": random_checkpoint(WORDS[:4], TASK),
        "length": random_checkpoint(WORDS, ClassificationTask(labels=TASK.labels)),
        "number": random_checkpoint(WORDS, RegressionTask(sequence_length=16)),
    }
    messages = {
        "labels": "must have the same labels",
        "pieces": "must read text with the same vocabulary",
        "length": "must have the same sequence_length",
        "number": "answers regression, .* classification",
    }
    for name, checkpoint in others.items():
        save(tmp_path / name, checkpoint)
        with pytest.raises(DataError, match=messages[name]):
            write_ensemble(tmp_path / "output", [folder / "one", tmp_path / name])
    for task in (TaggingTask(labels=("X",), crf=True), SimilarityTask()):
        places = [tmp_path / task.name / name for name in ("one", "two")]
        for place in places:
            save(place, random_checkpoint(WORDS, task))
        with pytest.raises(DataError, match=f"of these {task.name} models have no mean"):
            write_ensemble(tmp_path / "output", places)
        for too_few in (places[:1], [places[0], places[0] / "."]):
            with pytest.raises(DataError, match="An ensemble has two different models at least"):
                write_ensemble(tmp_path / "output", too_few)
    tasks = [TaggingTask(labels=("O", "X"), plain=plain) for plain in (False, True)]
    for number, task in enumerate(tasks):
        save(tmp_path / str(number), random_checkpoint(WORDS, task))
    with pytest.raises(DataError, match="must have the same plain. Received: True and False"):
        write_ensemble(tmp_path / "output", [tmp_path / "0", tmp_path / "1"])
    with pytest.raises(DataError, match="must be a new or an empty folder"):
        write_ensemble(folder / "both", [folder / "one"])
    assert not (tmp_path / "output").exists()
    (tmp_path / "ensemble.json").write_text(json.dumps({"members": []}), "utf-8")
    with pytest.raises(DataError, match="must name the folders of its members"):
        load_ensemble(tmp_path)
