"""Similarity: the losses by hand and against SciPy, the scores, and vectors for other tools."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from scipy.special import log_softmax
from starlette.testclient import TestClient

from apps.cli import main
from kbert import embed, evaluate, export_saved_model, from_huggingface, load, predict, save
from kbert.checkpoints.directory import has_pooler
from kbert.checkpoints.formats import pooling_of
from kbert.checkpoints.sentence_vectors import Pooling
from kbert.errors import DataError
from kbert.serving.checkpoint_or_export import load_served
from kbert.serving.http.app import application
from kbert.serving.onnx.export import export_onnx
from kbert.tasks import TASKS
from kbert.tasks.features import pad_batch
from kbert.tasks.similarity import SimilarityTask
from tests.serving.http.served import Models
from tests.tiny_checkpoint import finetune_with, random_checkpoint, write_checkpoint, write_rows

PAIRS = SimilarityTask(second_column="b", text_column="a", sequence_length=8)
SCORED = SimilarityTask(second_column="b", text_column="a", label_column="s", sequence_length=8)
WORDS = "the film was good bad music and we saw it".split()


@pytest.fixture(scope="module")
def checkpoint():
    return random_checkpoint(WORDS, max_sequence_length=16)


def write(path, lines):
    path.write_text("\n".join("\t".join(map(str, line)) for line in lines) + "\n")
    return path


def unit(rows):
    rows = np.asarray(rows, "float32")
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def computed(task, *values):
    return {name: float(x) for name, x in task.objective(*values).items()}


def test_the_loss_of_scored_pairs():
    vectors = unit([[[1, 0], [1, 1]], [[0, 1], [0, -1]]])
    targets, weights = {"score": np.array([0.5, 0.0])}, {"score": np.array([0.25, 0.75], "float32")}
    loss = 0.25 * (np.sqrt(0.5) - 0.5) ** 2 + 0.75 * 1.0
    assert computed(SCORED, {"vectors": vectors}, targets, weights) == pytest.approx({"loss": loss})


def test_the_loss_of_pairs():
    rng = np.random.default_rng(0)
    vectors = unit(rng.normal(size=(4, 2, 3)))
    # The second and the third have the same second text; the last fills up the batch.
    targets = {"pair": np.array([0, 1, 1, 0], "int32")}
    weights = {"pair": np.array([0.5, 0.25, 0.25, 0], "float32")}
    cosines = vectors[:, 0] @ vectors[:, 1].T / PAIRS.temperature
    others = [[0, 1, 2], [1, 0], [2, 0]]
    losses = [-log_softmax(cosines[row, seen])[0] for row, seen in enumerate(others)]
    right = [cosines[row, seen].argmax() == 0 for row, seen in enumerate(others)]
    found = computed(PAIRS, {"vectors": vectors}, targets, weights)
    expected = {
        "loss": np.dot(losses, [0.5, 0.25, 0.25]),
        "accuracy": np.dot(right, [0.5, 0.25, 0.25]),
    }
    assert found == pytest.approx(expected, rel=1e-4)


def test_gradients_are_finite_where_a_row_fills_up_the_batch(checkpoint):
    import tensorflow as tf

    model = PAIRS.build_model(checkpoint.model)
    examples = [PAIRS.parse({"text": "good film", "second": "bad"}, "")]
    features = PAIRS.encode(examples, checkpoint.tokenizer)
    inputs, targets, weights = pad_batch(features, 8, rows=3)
    with tf.GradientTape() as tape:
        loss = PAIRS.objective(model(inputs), targets, weights)["loss"]
    variables = [weight.value for weight in model.trainable_weights]
    for gradient in tape.gradient(loss, variables, unconnected_gradients="zero"):
        assert np.isfinite(ops.convert_to_numpy(tf.convert_to_tensor(gradient))).all()


def test_a_text_alone_is_its_own_pair(checkpoint, tmp_path):
    task = SimilarityTask(sequence_length=8)
    file = write(tmp_path / "a.tsv", [["text"], ["good film"], ["bad"]])
    features = task.encode(task.read_examples(file), checkpoint.tokenizer)
    for feature in features:
        np.testing.assert_array_equal(*feature.inputs["token_ids"])
    with pytest.raises(DataError, match="--validation-share 0"):
        task.check_held_out(task.read_examples(file))
    with pytest.raises(DataError, match="expected pairs"):
        task.read_examples(file, labelled=False)


def test_scores_become_shares(tmp_path, checkpoint):
    file = write(tmp_path / "a.tsv", [["a", "b", "s"], ["good", "bad", 1], ["it", "it", 5]])
    task = SCORED.prepare(SCORED.read_examples(file), "a")
    features = task.encode(task.read_examples(file), checkpoint.tokenizer)
    assert [float(feature.targets["score"]) for feature in features] == [0, 1]
    assert TASKS["similarity"].from_json(json.loads(json.dumps(task.to_json()))) == task
    with pytest.raises(DataError, match="All are 5"):
        SCORED.prepare(SCORED.read_examples(file)[1:], "a")
    warm = dataclasses.replace(SCORED, temperature=0.5)
    with pytest.raises(DataError, match="temperature needs pairs that have no scores"):
        warm.prepare(warm.read_examples(file), "a")
    with pytest.raises(DataError, match="line 2: expected a number"):
        SCORED.read_examples(write(tmp_path / "b.tsv", [["a", "b", "s"], ["it", "it", "x"]]))
    with pytest.raises(DataError, match="needs a second_column"):
        SimilarityTask(label_column="s")


def test_questions_and_their_paragraphs(tmp_path):
    answered = {"id": "1", "question": "q", "answers": [{"text": "c", "answer_start": 0}]}
    open_one = {"id": "2", "question": "r", "answers": [], "is_impossible": True}
    answered["is_impossible"] = False
    data = [{"paragraphs": [{"context": "c d", "qas": [answered, open_one]}]}]
    (tmp_path / "q.json").write_text(json.dumps({"data": data}))
    (pair,) = PAIRS.read_examples(tmp_path / "q.json")
    assert (pair.text, pair.second, pair.label) == ("q", "c d", None)
    (tmp_path / "rows.json").write_text(json.dumps([{"a": "x", "b": "y"}]))
    assert PAIRS.read_examples(tmp_path / "rows.json")[0].second == "y"
    data[0]["paragraphs"][0]["qas"] = [open_one]
    (tmp_path / "q.json").write_text(json.dumps({"data": data}))
    with pytest.raises(DataError, match="questions that their paragraphs answer, found none"):
        PAIRS.read_examples(tmp_path / "q.json")


def test_all_pairs_have_a_score_or_none():
    pair = PAIRS.parse({"text": "t", "second": "s"}, "")
    mixed = [pair, pair._replace(label=1.0), pair._replace(label=2.0)]
    with pytest.raises(DataError, match="a: expected a score of all pairs, or of none"):
        SCORED.prepare(mixed, "a")
    with pytest.raises(DataError, match="held-out pairs that all have a score, or none"):
        SCORED.check_held_out(mixed)


def test_what_is_scored(checkpoint):
    vectors = unit([[[1, 0], [1, 0.1]], [[0, 1], [0.1, 1]], [[1, 1], [-1, 0]]])
    pairs = [PAIRS.parse({"text": f"t{i}", "second": f"s{i}"}, "") for i in range(3)]
    answers = [
        PAIRS.decode([{"vectors": rows}], pair) for rows, pair in zip(vectors, pairs, strict=True)
    ]
    assert json.loads(json.dumps(answers[0])) == {"similarity": pytest.approx(1 / np.sqrt(1.01))}
    assert PAIRS.metrics(answers, pairs) == pytest.approx(
        {"mrr": (1 + 1 + 1 / 3) / 3, "recall@1": 2 / 3, "recall@10": 1}
    )
    tally = PAIRS.tally("mrr", answers, pairs)
    # Drawn rows are queries: the passages stay, and a repeated one is no second.
    assert tally.score(tally.counts[[2, 2, 0]].sum(0)) == pytest.approx((1 / 3 + 1 / 3 + 1) / 3)
    assert PAIRS.trivial_score(pairs) == pytest.approx((1 + 1 / 2 + 1 / 3) / 3)
    scored = [
        pair._replace(label=label) for pair, label in zip(pairs, (5.0, 4.0, 0.0), strict=True)
    ]
    assert SCORED.tally("spearman", answers, scored) is None
    found = SCORED.metrics(answers, scored)
    # Two cosines are equal: 3 ranks, of which 1.5 and 1.5 stand against 1 and 2.
    assert set(found) == {"spearman", "pearson"}
    assert found["spearman"] == pytest.approx(np.sqrt(0.75))
    assert SCORED.metric_names[0] == "spearman" and PAIRS.metric_names[0] == "mrr"


def pair_rows(path, count, seed):
    """Two texts each, with 5 where both or none are good."""
    rows = [line.split("\t") for line in write_rows(path, 2 * count, seed).read_text().splitlines()]
    rows = rows[1:]
    lines = [["a", "b", "s"]]
    order = np.random.default_rng(seed).permutation(len(rows)).reshape(-1, 2)
    for one, other in order:
        alike = 5 if rows[one][1] == rows[other][1] else 0
        lines.append([rows[one][0], rows[other][0], alike])
    return write(path, lines)


@pytest.mark.slow
def test_finetuned_vectors_leave_with_their_pooling(tmp_path, capsys):
    write_checkpoint(tmp_path / "start")
    train, dev = (pair_rows(tmp_path / f"{n}.tsv", 96, n) for n in (1, 2))
    task = SimilarityTask(text_column="a", second_column="b", label_column="s", sequence_length=24)
    options = {"epochs": 4, "batch_size": 8, "learning_rate": 3e-3, "verbose": 0}
    summary = finetune_with(
        task, tmp_path / "start", train, tmp_path / "out", validation_path=dev, **options
    )
    assert summary["scores"]["spearman"] > 0.5
    tuned = load(tmp_path / "out")
    assert evaluate(tuned.task, tuned, dev)["spearman"] == summary["scores"]["spearman"]
    # The answer to a pair is the product of the vectors that `kbert embed` writes.
    texts = ["the film was good", "music bad"]
    first, second = embed(tmp_path / "out", texts)
    (answer,) = predict(tmp_path / "out", [{"text": texts[0], "second": texts[1]}])
    assert answer["similarity"] == pytest.approx(float(first @ second), abs=1e-5)
    # As sentence-transformers: an encoder, its pooling, vectors of length 1.
    command = ["convert", tmp_path / "out", "--output", tmp_path / "st", "--to", "huggingface"]
    assert main([str(word) for word in command]) == 0
    modules = json.loads((tmp_path / "st" / "modules.json").read_text())
    kinds = [module["type"].rpartition(".")[2] for module in modules]
    assert kinds == ["Transformer", "Pooling", "Normalize"]
    assert from_huggingface(tmp_path / "st").task is None
    # No vector comes from the pooler, so that none is kept.
    assert not has_pooler(tuned.model) and not has_pooler(from_huggingface(tmp_path / "st").model)
    assert pooling_of(tmp_path / "st") == Pooling("mean", normalize=True, sequence_length=24)
    np.testing.assert_allclose(embed(tmp_path / "st", texts), [first, second], atol=1e-6)
    card = (tmp_path / "st" / "README.md").read_text()
    assert "pipeline_tag: sentence-similarity" in card and "| spearman |" in card


def test_training_on_pairs_and_on_texts(tmp_path, capsys):
    write_checkpoint(tmp_path / "start")
    lines = [["a", "b"], *([f"good {w}", f"bad {w}"] for w in WORDS for _ in range(3))]
    train = write(tmp_path / "pairs.tsv", lines)
    command = ["finetune", "similarity", "--from", tmp_path / "start", "--train", train]
    command += ["--text-column", "a", "--epochs", 1, "--batch-size", 5, "--sequence-length", 8]
    pairs = [*command, "--second-column", "b", "--output", tmp_path / "pairs"]
    assert main([str(word) for word in pairs]) == 0
    assert "mrr" in capsys.readouterr().out
    alone = [*command, "--output", tmp_path / "alone", "--validation-share", 0]
    assert main([str(word) for word in alone]) == 0
    scored = write(tmp_path / "dev.tsv", [["a", "b", "s"], ["it", "it", 1], ["it", "bad", 0]])
    columns = ["--second-column", "b", "--label-column", "s"]
    assert main(["evaluate", str(tmp_path / "alone"), str(scored), *columns]) == 0
    assert "spearman" in capsys.readouterr().out


def test_vectors_are_the_same_in_every_way(tmp_path):
    """Of `kbert embed`, of both exports, of the graph alone, and over HTTP in both dialects."""
    task = SimilarityTask(second_column="b", pooling="max", sequence_length=12)
    checkpoint = random_checkpoint(WORDS, task, max_sequence_length=32)
    texts = ["good film", "", "bad music and good music " * 9, "we saw it"]
    folders = [tmp_path / name for name in ("checkpoint", "graph", "onnx")]
    save(folders[0], checkpoint)
    export_saved_model(folders[1], checkpoint)
    export_onnx(folders[2], checkpoint)
    ways = {}
    for folder in folders:
        with TestClient(application(Models(m=load_served(folder)))) as client:
            rows = client.post("/v1/models/m:predict", json={"instances": texts}).json()
            items = client.post("/v1/embeddings", json={"model": "m", "input": texts}).json()
        ways[folder.name, ":predict"] = rows["predictions"]
        ways[folder.name, "/v1/embeddings"] = items["data"]
    served = tf.saved_model.load(str(folders[1] / "1")).signatures["serving_default"]
    found = {way: [answer["embedding"] for answer in answers] for way, answers in ways.items()}
    found["strings"] = served(text=tf.constant(texts))["embedding"].numpy()
    expected = embed(folders[0], texts, long="cut")
    np.testing.assert_allclose(np.linalg.norm(expected, axis=1), 1, atol=1e-5)
    assert np.abs(expected[0] - expected[1:]).max(axis=1).min() > 0.1
    for way, vectors in found.items():
        np.testing.assert_allclose(vectors, expected, atol=1e-5, err_msg=str(way))
