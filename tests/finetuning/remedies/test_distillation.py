"""What a student learns from teachers: against SciPy; a run without labels against its teachers."""

import dataclasses
import json

import numpy as np
import pytest
from scipy.special import expit, log_softmax, rel_entr, softmax
from scipy.stats import entropy

from kbert import Checkpoint, load, predict, save
from kbert.checkpoints.weights import model_weights
from kbert.errors import DataError
from kbert.finetuning.feature_cache import Cache
from kbert.finetuning.remedies.distillation import distance, objective_of, taught, token_targets
from kbert.finetuning.rows import FinetuningRows
from kbert.finetuning.settings import FinetuningSettings
from kbert.tasks.classification import ClassificationTask
from kbert.tasks.features import pad_batch
from kbert.tasks.multilabel import MultiLabelTask
from kbert.tasks.multiple_choice import MultipleChoiceTask
from kbert.tasks.readers.bad_rows import BadRows
from kbert.tasks.readers.choice_files import from_object
from kbert.tasks.readers.conll_files import from_words
from kbert.tasks.regression import RegressionTask
from kbert.tasks.similarity import SimilarityTask
from kbert.tasks.tagging import TaggingTask
from kbert.tasks.windows.sentence_context import TaggedExample
from tests.layers.contract import numpy
from tests.tasks.word_questions import SHORT, question
from tests.tiny_checkpoint import WORDS, finetune_with, random_checkpoint, write_checkpoint

RNG = np.random.default_rng(0)
STUDENT, TEACHER = RNG.normal(size=(2, 5, 3)).astype("float32") * 3
TARGET = "teacher/logits"
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
    targets = {"label": np.array([0, 1, 2, 1, 0]), TARGET: softmax(TEACHER / 2, axis=-1)}
    arguments = {"logits": STUDENT}, targets, {"label": weights, TARGET: weights}
    found = {name: float(value) for name, value in objective_of(TASK, settings)(*arguments).items()}
    own = float(TASK.objective(*arguments)["loss"])
    taught = 4 * entropy(targets[TARGET], softmax(STUDENT / 2, axis=-1), axis=-1).mean()
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


NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve a b".split()
TAGGING = TaggingTask(labels=("X",), sequence_length=8)
SENTENCES = [WORDS[:3], WORDS[3:16], WORDS[5:6]]  # The second has several windows.
# Each task with words that its examples are of.
OTHERS = {
    "tagging": (
        TAGGING,
        WORDS,
        [TaggedExample(from_words(words, ["O"] * len(words), "here")) for words in SENTENCES],
    ),
    "qa": (SHORT, NUMBERS, [question(answer="five"), question("b", answer="one")]),
    "choice": (
        MultipleChoiceTask(sequence_length=12),
        WORDS,
        [
            from_object({"context": "the film", "choices": choices, "label": 0}, "here", True)
            for choices in (["good", "bad", "so"], ["long", "short"])
        ],
    ),
}


def rows_of(task, examples, checkpoint):
    features = task.encode(examples, checkpoint.tokenizer)
    cache = Cache(None, "float32")
    return FinetuningRows(task, "here", examples, features, [], [], BadRows(), cache, [])


def loss_from(teachers, student, examples, temperature=2.0):
    """What a batch of all examples is told by the teachers, of the student as it is."""
    settings = FinetuningSettings(
        teacher=tuple(map(str, teachers)), teacher_temperature=temperature, batch_size=4
    )
    task = student.task
    features = taught(rows_of(task, examples, student), student, settings)
    length = -(-max(feature.length for feature in features) // 8) * 8
    batch = pad_batch(features, length, len(features) + 1, token_targets(task))
    inputs, targets, weights = batch
    sums = objective_of(task, settings)(student.model(inputs), targets, weights)
    return float(sums["teacher_loss"])


@pytest.mark.parametrize("name", OTHERS)
def test_who_says_the_same_has_nothing_to_learn(name, tmp_path):
    """Place by place: each token, window and choice is compared with itself."""
    task, words, examples = OTHERS[name]
    student, other = (random_checkpoint(words, task, hidden_dim=size) for size in (8, 16))
    for number, checkpoint in enumerate((student, other)):
        save(tmp_path / str(number), checkpoint)
    assert loss_from([tmp_path / "0"], student, examples) == pytest.approx(0, abs=1e-5)
    one = loss_from([tmp_path / "1"], student, examples)
    assert loss_from([tmp_path / "1"] * 2, student, examples) == pytest.approx(one, rel=1e-5)
    # Of their mean the divergence is at most the mean of both's.
    both = loss_from([tmp_path / "0", tmp_path / "1"], student, examples)
    assert 0 < both < one / 2 + 1e-5


def test_a_tagger_learns_words_whatever_their_pieces(tmp_path):
    """Teachers with the same vectors for other numbers; and the divergence is SciPy's."""
    examples = [TaggedExample(from_words(words, ["O"] * len(words), "here")) for words in SENTENCES]
    examples = [example for example in examples if len(example.sentence.words) < 7]
    student, other = (random_checkpoint(WORDS, TAGGING, hidden_dim=size) for size in (8, 16))
    vocabulary = student.tokenizer.vocabulary
    turned = [*vocabulary[:5], *vocabulary[:4:-1]]
    teacher = random_checkpoint(turned[5:], TAGGING)
    for path, weight in model_weights(teacher.model).items():
        value = numpy(model_weights(student.model)[path])
        if path == "embedding/token_table":
            value = value[[vocabulary.index(piece) for piece in turned]]
        weight.assign(value)
    save(tmp_path / "same", teacher)
    assert loss_from([tmp_path / "same"], student, examples) == pytest.approx(0, abs=1e-5)

    save(tmp_path / "other", other)
    logits = [[], []]
    for example in examples:
        row = [2, *map(vocabulary.index, example.sentence.words), 3]
        inputs = {"token_ids": np.array([row]), "segment_ids": np.zeros((1, len(row)))}
        inputs["padding_mask"] = np.ones((1, len(row)))
        for found, checkpoint in zip(logits, (student, other), strict=True):
            found.append(numpy(checkpoint.model(inputs)["logits"])[0, 1:-1])
    ours, theirs = (softmax(np.concatenate(found) / 2.0, axis=-1) for found in logits)
    expected = 4 * entropy(theirs, ours, axis=-1).mean()
    assert loss_from([tmp_path / "other"], student, examples) == pytest.approx(expected, rel=1e-4)


def test_starts_and_ends_of_answers_are_scipys(tmp_path):
    """The mean of both, over all windows, of each over its tokens."""
    _, words, examples = OTHERS["qa"]
    student, teacher = (random_checkpoint(words, SHORT, hidden_dim=size) for size in (8, 16))
    save(tmp_path / "teacher", teacher)
    features = SHORT.encode(examples, student.tokenizer)
    assert len(features) > len(examples)
    divergences = []
    for feature in features:
        inputs = {name: value[None] for name, value in feature.inputs.items()}
        ours, theirs = (each.model(inputs) for each in (student, teacher))
        for name in SHORT.links:
            one, other = (softmax(numpy(each[name])[0] / 2.0) for each in (ours, theirs))
            divergences.append(4 * entropy(other, one))
    found = loss_from([tmp_path / "teacher"], student, examples)
    assert found == pytest.approx(np.mean(divergences), rel=1e-4)


def test_who_cannot_teach_is_refused_before_it_is_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "kbert.finetuning.remedies.distillation.predict_features", lambda *_: pytest.fail("asked")
    )
    crf = TaggingTask(labels=("X",), sequence_length=8, crf=True)
    _, words, examples = OTHERS["qa"]
    refused = [
        (random_checkpoint(WORDS, crf), OTHERS["tagging"], "teacher has a CRF"),
        (random_checkpoint(words[::-1], SHORT), OTHERS["qa"], "Received: another vocabulary"),
        (
            random_checkpoint(
                words, dataclasses.replace(SHORT, sequence_length=11), max_sequence_length=11
            ),
            OTHERS["qa"],
            "12 tokens of it. Received: 11 tokens",
        ),
    ]
    for number, (teacher, (task, own, rows), message) in enumerate(refused):
        path = tmp_path / str(number) / "teacher"
        save(path, teacher)
        with pytest.raises(DataError, match=message):
            loss_from([path], random_checkpoint(own, task), rows)
    for task in (crf, SimilarityTask(sequence_length=8)):
        with pytest.raises(DataError, match=f"tagging with a CRF. Received: {task.name}"):
            student = random_checkpoint(WORDS, task)
            taught(rows_of(task, [], student), student, FinetuningSettings(teacher=("t",)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tagging", "qa"])
def test_a_run_without_labels_comes_nearer_to_its_teacher(name, tmp_path):
    task, words, examples = OTHERS[name]
    save(tmp_path / "teacher", random_checkpoint(words, task, hidden_dim=16))
    start = random_checkpoint(words, task, num_layers=2)
    save(tmp_path / "start", start)
    if name == "tagging":
        lines = [f"{word} {tag}" for word, tag in zip(WORDS, "OX" * 8, strict=False)]
        text = "\n".join(line.replace(" X", " B-X") for line in lines) + "\n"
    else:
        context = examples[0].context
        answers = [{"text": "five", "answer_start": context.find("five")}]
        qas = [{"id": "q", "question": "a b", "answers": answers}]
        text = json.dumps({"data": [{"paragraphs": [{"context": context, "qas": qas}]}]})
    (tmp_path / "train.txt").write_text(text, "utf-8")
    options = {"epochs": 60, "learning_rate": 1e-2, "encoder_dropout": 0.0, "verbose": 0}
    options |= {"teacher": (str(tmp_path / "teacher"),), "teacher_share": 1.0}
    if name == "tagging":
        task = dataclasses.replace(task, labels=(), dropout=0.0)
    files = (tmp_path / "start", tmp_path / "train.txt", tmp_path / "student")
    finetune_with(task, *files, validation_share=0.0, **options)
    teachers = [tmp_path / "teacher"]
    before, after = (
        loss_from(teachers, Checkpoint(*load(tmp_path / each)), examples[:1])
        for each in ("start", "student")
    )
    assert after < 0.5 * before
