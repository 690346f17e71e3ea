"""What a student learns from teachers: against SciPy; a run without labels against its teachers."""

import numpy as np
import pytest
from scipy.special import expit, log_softmax, rel_entr, softmax
from scipy.stats import entropy

from kbert import predict, save
from kbert.errors import DataError
from kbert.finetuning.remedies.distillation import distance, objective_of
from kbert.finetuning.settings import FinetuningSettings
from kbert.tasks.classification import ClassificationTask
from kbert.tasks.multilabel import MultiLabelTask
from kbert.tasks.regression import RegressionTask
from kbert.tasks.tagging import TaggingTask
from tests.layers.contract import numpy
from tests.tiny_checkpoint import WORDS, finetune_with, random_checkpoint, write_checkpoint

RNG = np.random.default_rng(0)
STUDENT, TEACHER = RNG.normal(size=(2, 5, 3)).astype("float32") * 3
TASK = ClassificationTask(sequence_length=16, labels=("bad", "good", "so"))


def test_between_classes_it_is_scipys_divergence():
    for temperature in (1.0, 2.5):
        target = softmax(TEACHER / temperature, axis=-1)
        found = numpy(distance(STUDENT, target, "softmax", temperature))
        other = softmax(STUDENT / temperature, axis=-1)
        expected = temperature**2 * entropy(target, other, axis=-1)
        np.testing.assert_allclose(found, expected, rtol=1e-4)
    certain = np.eye(3, dtype="float32")[[0, 2, 1, 1, 0]]
    found = numpy(distance(STUDENT, certain, "softmax", 1.0))
    np.testing.assert_allclose(found, -(certain * log_softmax(STUDENT, axis=-1)).sum(-1), rtol=1e-4)


def test_of_labels_and_numbers():
    target, other = expit(TEACHER / 2), expit(STUDENT / 2)
    found = numpy(distance(STUDENT, target, "sigmoid", 2.0))
    expected = 4 * (rel_entr(target, other) + rel_entr(1 - target, 1 - other)).mean(axis=-1)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    same = distance(TEACHER, target, "sigmoid", 2.0)
    np.testing.assert_allclose(numpy(same), 0, atol=1e-5)
    found = numpy(distance(STUDENT, TEACHER, "identity", 2.0))
    np.testing.assert_allclose(found, np.square(STUDENT - TEACHER).sum(-1), rtol=1e-5)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_loss_is_the_mean_of_both(share):
    settings = FinetuningSettings(teacher=("t",), teacher_share=share, teacher_temperature=2.0)
    weights = np.full(5, 0.2, "float32")
    targets = {"label": np.array([0, 1, 2, 1, 0]), "teacher": softmax(TEACHER / 2, axis=-1)}
    arguments = {"logits": STUDENT}, targets, {"label": weights, "teacher": weights}
    found = {name: float(value) for name, value in objective_of(TASK, settings)(*arguments).items()}
    own = float(TASK.objective(*arguments)["loss"])
    taught = 4 * entropy(targets["teacher"], softmax(STUDENT / 2, axis=-1), axis=-1).mean()
    assert found["teacher_loss"] == pytest.approx(taught, rel=1e-4)
    assert found["loss"] == pytest.approx((1 - share) * own + share * taught, rel=1e-4)
    assert objective_of(TASK, FinetuningSettings()) == TASK.objective


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Teachers of other sizes and vocabularies, rows of which all labels but two are wrong."""
    folder = tmp_path_factory.mktemp("distillation")
    write_checkpoint(folder / "start")
    rows = [f"{a} {b}" for a in WORDS[:8] for b in WORDS[:8]]
    lines = [f"{row}\t{('bad', 'good')[number % 5 == 0]}" for number, row in enumerate(rows)]
    (folder / "train.tsv").write_text("text\tlabel\n" + "\n".join(lines) + "\n", "utf-8")
    task = ClassificationTask(sequence_length=16, labels=("bad", "good"))
    save(folder / "one", random_checkpoint(WORDS, task))
    save(folder / "two", random_checkpoint(WORDS[::-1], task, num_layers=2, hidden_dim=16))
    save(folder / "other", random_checkpoint(WORDS, TASK))
    save(folder / "tags", random_checkpoint(WORDS, TaggingTask(labels=("X",))))
    return folder


def run(folder, output, task=None, **changes):
    settings = {"epochs": 40, "batch_size": 16, "learning_rate": 1e-2, "encoder_dropout": 0.0}
    settings |= {"validation_share": 0.0, "verbose": 0}
    task = ClassificationTask(sequence_length=16, dropout=0.0) if task is None else task
    files = (folder / "start", folder / "train.tsv", folder / output)
    return finetune_with(task, *files, **settings | changes)


def probabilities(path, texts):
    return np.array([list(answer["probabilities"].values()) for answer in predict(path, texts)])


def test_a_student_learns_the_mean_of_its_teachers_without_labels(folder):
    teachers = (str(folder / "one"), str(folder / "two"))
    summary = run(folder, "student", teacher=teachers, teacher_share=1.0, teacher_temperature=1.0)
    assert summary["teacher"] == list(teachers)
    texts = [f"{a} {b}" for a in WORDS[:8] for b in WORDS[:8]]
    expected = np.mean([probabilities(path, texts) for path in teachers], axis=0)
    found = probabilities(folder / "student", texts)
    # Chance, or one answer for all, would be as far off as the teacher's answers are spread.
    assert np.abs(found - expected).mean() < 0.5 * np.abs(expected - expected.mean(axis=0)).mean()


def test_teachers_that_teach_something_else_are_refused(folder):
    with pytest.raises(DataError, match="must have the labels .*'bad', 'good'.* Received: .*'so'"):
        run(folder, "refused", teacher=(str(folder / "other"),))
    with pytest.raises(DataError, match="answers tagging. Expected: classification"):
        run(folder, "refused", teacher=(str(folder / "tags"),))
    with pytest.raises(DataError, match="start is not fine-tuned"):
        run(folder, "refused", teacher=(str(folder / "start"),))
    assert not (folder / "refused").exists()


def test_every_task_on_texts_says_how_its_answers_are_averaged():
    links = {task: task.links for task in (ClassificationTask, MultiLabelTask, RegressionTask)}
    assert all(len(found) == 1 for found in links.values())
