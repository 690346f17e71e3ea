"""What is measured is what is served: one answer, whatever the way to it."""

import dataclasses
import itertools
import json
import lzma

import keras
import numpy as np
import pytest
import tensorflow as tf

from apps.cli import run_command
from kbert import (
    BertConfig,
    Checkpoint,
    ClassificationTask,
    MultiLabelTask,
    MultipleChoiceTask,
    Predictor,
    QuestionAnsweringTask,
    RegressionTask,
    TaggingTask,
    WordPieceTokenizer,
    build_encoder,
    build_pretraining_model,
    export_saved_model,
    fill_mask,
    save,
)
from kbert.checkpoints.sentence_vectors import Dense, Pooling
from kbert.errors import DataError
from kbert.inference.fill_mask import fill_masks
from kbert.inference.text_encoder import TextEncoder
from kbert.serving.checkpoint_or_export import load_mask_filler
from tests.serving.conftest import CONFIG, VOCABULARY, decided
from tests.serving.five_ways import Case, check_five_ways, of_words

LONG = "the film was good and we saw it ! " * 6 + "it"
TEXTS = ["the film", "今天天气很好, we saw the Élan", LONG, "bad music!", "今天" * 12]
PAIRS = [
    {"text": text, "second": second}
    for text, second in zip(TEXTS, [*TEXTS[2:], *TEXTS[:2]], strict=True)
]


def case(task, instances, architecture="transformer"):
    config = dataclasses.replace(CONFIG, architecture=architecture)
    model = decided(task.build_model(build_encoder(config)))
    return Case(Checkpoint(model, WordPieceTokenizer(VOCABULARY), config, task), instances)


def test_five_ways(tmp_path):
    """Of the tasks that a graph has most to do for; test_export.py has classification."""
    ner = TaggingTask(labels=("LOC", "PER"), crf=True, valid_tags=True, sequence_length=12)
    questions = QuestionAnsweringTask(
        sequence_length=24,
        stride=8,
        max_question_length=6,
        unanswerable=True,
        null_threshold=1.5,
        n_best=4,
    )
    check_five_ways({"tagging": case(ner, of_words(TEXTS)), "qa": case(questions, PAIRS)}, tmp_path)


@pytest.mark.slow
def test_five_ways_of_encoders_of_other_kinds(tmp_path):
    """BiLSTM-CRF, answers found by convolutions, choices by bags of words."""
    ner = TaggingTask(labels=("LOC", "PER"), crf=True, sequence_length=12)
    questions = QuestionAnsweringTask(sequence_length=24, stride=8, max_question_length=6)
    choices = [{"context": text, "question": None, "choices": [*TEXTS, "it"]} for text in TEXTS]
    cases = {
        "bilstm": case(ner, of_words(TEXTS), "bilstm"),
        "cnn": case(questions, PAIRS, "cnn"),
        "bag": case(MultipleChoiceTask(sequence_length=16), choices, "bag"),
    }
    check_five_ways(cases, tmp_path)


@pytest.mark.slow
def test_five_ways_of_the_other_tasks(single, choice, tmp_path):
    texts = [{"text": text} for text in TEXTS]
    choices = [
        {"context": text, "question": question, "choices": [*TEXTS[number:], "it", "was"]}
        for number, (text, question) in enumerate(zip(TEXTS, ["good ?", None] * 3, strict=False))
    ]
    multilabel = MultiLabelTask(
        labels=("b", "a", "c"), threshold=0.3, second_column="second", sequence_length=12
    )
    cases = {
        "classification": Case(single[0], texts),
        "regression": case(RegressionTask(mean=3.0, deviation=2.0, sequence_length=16), texts),
        "multilabel": case(multilabel, PAIRS),
        "choice": Case(choice[0], choices),
    }
    check_five_ways(cases, tmp_path)


@pytest.mark.slow
def test_five_ways_on_real_texts(shared_data, tmp_path):
    """200 texts a task, Chinese and English ones, half of them longer than the model takes."""
    texts = [
        *_column(shared_data("zh/uer_chnsenticorp/test.tsv"), 1)[:70],
        *[question["second"] for question in _questions(shared_data(CMRC))[:180:3]],
        *_reviews(shared_data("imdb/test.jsonl.xz"))[:70],
    ]
    pairs = [
        {"text": text, "second": second}
        for text, second in zip(texts, [*texts[100:], *texts[:100]], strict=True)
    ]
    dialogues = _dialogues(shared_data("zh/uer_c3/dev.json"))[:100]
    story = _column(shared_data("codah/full_data.tsv"), slice(1, 6))[:100]
    story = [{"context": row[0], "question": None, "choices": row[1:]} for row in story]
    squad = _questions(shared_data("squad_subsets/squad2_dev_5articles.json"))
    questions = [*_questions(shared_data(CMRC))[:100], *squad[:1000:10]]
    chinese = _column(shared_data("zh/uer_chnsenticorp/test.tsv"), 1)[100:300]
    windows = {"sequence_length": 96, "stride": 32, "max_question_length": 24}
    crf = TaggingTask(labels=("LOC", "ORG", "PER"), crf=True, valid_tags=True, sequence_length=48)
    open_questions = QuestionAnsweringTask(
        **windows, unanswerable=True, null_threshold=1.0, rules="cmrc"
    )
    valid = TaggingTask(labels=("LOC", "PER"), characters=True, valid_tags=True, sequence_length=64)
    alone = TaggingTask(labels=("LOC", "PER"), document_context=True, sequence_length=128)
    pairs_task = {"second_column": "second", "sequence_length": 64}
    vocabulary = shared_data("vocab/bert-base-chinese.vocab.txt")
    check_five_ways(
        {
            name: _real_case(vocabulary, task, instances)
            for name, task, instances in [
                ("one", ClassificationTask(labels=("a", "b"), sequence_length=64), _single(texts)),
                ("two", ClassificationTask(labels=("a", "b", "c"), **pairs_task), pairs),
                ("number", RegressionTask(mean=2.0, sequence_length=64), _single(texts)),
                ("labels", MultiLabelTask(labels=("a", "b", "c"), **pairs_task), pairs),
                ("choice", MultipleChoiceTask(sequence_length=64), [*dialogues, *story]),
                ("crf", crf, of_words(texts)),
                ("characters", valid, of_words(chinese, characters=True)),
                ("alone", alone, of_words(texts)),
                ("answered", QuestionAnsweringTask(**windows, n_best=5), questions),
                ("open", open_questions, questions),
            ]
        },
        tmp_path,
    )


CMRC = "zh/cmrc2018/squad-style-data_cmrc2018_dev.json"


def _real_case(vocabulary, task, instances):
    tokenizer = WordPieceTokenizer(vocabulary)
    config = BertConfig(
        tokenizer.vocabulary_size,
        num_layers=2,
        num_heads=2,
        hidden_dim=16,
        intermediate_dim=32,
        max_sequence_length=128,
    )
    assert len(instances) >= 190
    model = decided(task.build_model(build_encoder(config)))
    return Case(Checkpoint(model, tokenizer, config, task), instances)


def _single(texts):
    return [{"text": text} for text in texts]


def _flat(text):
    return " ".join(text.split())


def _column(path, column):
    rows = [line.rstrip("\n").split("\t") for line in path.open(encoding="utf-8")][1:]
    cells = [row[column] for row in rows]
    return [list(map(_flat, cell)) if isinstance(cell, list) else _flat(cell) for cell in cells]


def _reviews(path):
    with lzma.open(path, "rt", encoding="utf-8") as file:
        return [_flat(json.loads(line)["text"]) for line in itertools.islice(file, 100)]


def _questions(path):
    articles = json.loads(path.read_text(encoding="utf-8"))["data"]
    return [
        {"text": _flat(question["question"]), "second": _flat(paragraph["context"])}
        for article in articles
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    ]


def _dialogues(path):
    return [
        {
            "context": _flat(" ".join(lines)),
            "question": question["question"],
            "choices": question["choice"],
        }
        for lines, questions, _ in json.loads(path.read_text(encoding="utf-8"))
        for question in questions
        if len(question["choice"]) > 1
    ]


@pytest.fixture(scope="module")
def pretrained_checkpoint():
    keras.utils.set_random_seed(0)
    model = decided(build_pretraining_model(CONFIG))
    return Checkpoint(model, WordPieceTokenizer(VOCABULARY), CONFIG)


def test_masks_are_filled_as_by_the_checkpoint(pretrained_checkpoint, tmp_path, capsys):
    texts = ["the [MASK] was good", "[MASK]天天[MASK] !", LONG + "[MASK]"]
    folder = export_saved_model(tmp_path / "export", pretrained_checkpoint, top=4)
    expected = fill_mask(pretrained_checkpoint, texts[:2], top=4)
    exported = load_mask_filler(folder, top=4)
    assert fill_masks(exported, texts[:2], top=4) == [
        [
            [
                candidate | {"score": pytest.approx(candidate["score"], rel=1e-4)}
                for candidate in mask
            ]
            for mask in masks
        ]
        for masks in expected
    ]
    *filled, cut = Predictor(folder).predict([*texts[:2], {"text": texts[2]}])
    assert [list(map(len, answer["masks"])) for answer in filled] == [[4], [4, 4]]
    assert cut == {"masks": [[]]}
    outputs = tf.saved_model.load(folder).signatures["serving_default"](text=tf.constant(texts))
    assert outputs["num_masks"].numpy().tolist() == [1, 2, 0]
    for row, masks in enumerate(expected):
        for number, mask in enumerate(masks):
            tokens = [token.decode() for token in outputs["token"][row, number].numpy()]
            assert tokens == [candidate["token"] for candidate in mask]
            scores = [candidate["score"] for candidate in mask]
            np.testing.assert_allclose(outputs["score"][row, number], scores, rtol=1e-4)
    with pytest.raises(DataError, match="Instance 0: expected a text with .MASK. in it"):
        Predictor(folder).predict(["the film"])
    with pytest.raises(DataError, match="1 of 1 .MASK. stand behind them"):
        fill_masks(exported, texts[2:], top=1)
    assert run_command("fill-mask", [str(folder.parent), texts[0], "--top", "3"]) == 0
    assert capsys.readouterr().out.count("\n") == 4
    assert run_command("fill-mask", [str(folder), texts[0]]) == 1
    assert "Expected 1 to 4 pieces" in capsys.readouterr().err


def test_vectors_are_those_of_embed(pretrained_checkpoint, tmp_path, capsys):
    rng = np.random.default_rng(0)
    dense = Dense("tanh", rng.normal(size=(64, 5)).astype("float32"), np.ones(5, "float32"))
    pooling = Pooling(
        "cls+max", (-1, -2), modules=(dense,), normalize=True, prompt="saw: ", sequence_length=12
    )
    expected = TextEncoder(pretrained_checkpoint, pooling, long="cut").encode(TEXTS)
    folder = export_saved_model(
        tmp_path, pretrained_checkpoint, answers="embedding", pooling=pooling
    )
    answers = Predictor(folder).predict(TEXTS)
    np.testing.assert_allclose([a["embedding"] for a in answers], expected, atol=1e-5)
    outputs = tf.saved_model.load(folder).signatures["serving_default"](text=tf.constant(TEXTS))
    np.testing.assert_allclose(outputs["embedding"], expected, atol=1e-5)
    for row, answer in enumerate(answers):
        mask = outputs["padding_mask"][row] != 0
        vectors = outputs["sequence_output"][row][mask]
        np.testing.assert_allclose(vectors, answer["sequence_output"], atol=1e-4)
    (tmp_path / "x.txt").write_text("a text\n")
    assert run_command("predict", [str(folder), str(tmp_path / "x.txt")]) == 1
    assert "it answers embedding" in capsys.readouterr().err


def test_another_backend_is_named(pretrained_checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(DataError, match="A SavedModel needs KERAS_BACKEND=tensorflow"):
        export_saved_model(tmp_path / "out", pretrained_checkpoint)
    assert not (tmp_path / "out").exists()


def test_what_a_checkpoint_cannot_answer_is_refused(single, pretrained_checkpoint, tmp_path):
    encoder = pretrained_checkpoint._replace(model=build_encoder(CONFIG))
    refused = [
        (single[0], {"answers": "embedding"}, "answers classification: it cannot answer embedding"),
        (encoder, {"answers": "fill-mask"}, "Only a masked LM fills masks"),
        (encoder, {"answers": "fillmask"}, "answers must be fill-mask or embedding"),
        (pretrained_checkpoint, {"top": 1000}, "Expected 1 to .* pieces for a mask"),
        (encoder, {"pooling": Pooling(layers=(7,))}, "The layers must be -3 to 2"),
    ]
    for checkpoint, options, sentence in refused:
        with pytest.raises(DataError, match=sentence):
            export_saved_model(tmp_path, checkpoint, **options)
    assert list(tmp_path.iterdir()) == []


def test_the_command_exports_the_folder_s_pooling(pretrained_checkpoint, tmp_path, capsys):
    from kbert.checkpoints.sentence_vectors import write_pooling

    save(tmp_path / "encoder", pretrained_checkpoint._replace(model=build_encoder(CONFIG)))
    write_pooling(tmp_path / "encoder", Pooling("max", prompt="the "))
    arguments = [str(tmp_path / "encoder"), "--output", str(tmp_path / "export")]
    assert run_command("export", arguments) == 0
    assert "text -> embedding, padding_mask, pooled_output" in capsys.readouterr().out
    exported = Predictor(tmp_path / "export")
    assert exported.answerer.task.prompt == "the "
    # The page computes similarities of the same vectors.
    (answer,), (shown,) = (
        part.predict(["film"]) for part in (exported, exported.views.answerers["vectors"])
    )
    np.testing.assert_allclose(shown["embedding"], answer["embedding"], atol=1e-6)
