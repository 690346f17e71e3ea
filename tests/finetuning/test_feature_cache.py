"""The feature-based approach: what is computed once is what the kept model computes itself."""

import dataclasses

import keras
import numpy as np
import pytest

from kbert import evaluate, load
from kbert.checkpoints.directory import encoder_of
from kbert.checkpoints.formats import load_finetuned
from kbert.errors import DataError
from kbert.finetuning import feature_cache
from kbert.finetuning.feature_cache import Cache, as_vectors, split
from kbert.inference.answering import predict_features
from kbert.tasks.classification import ClassificationTask
from tests.tiny_checkpoint import finetune_with, write_checkpoint, write_rows

TASK = ClassificationTask(
    dropout=0.0, sequence_length=16, features="last", head="bilstm", lstm_size=16
)
SETTINGS = {
    "epochs": 6,
    "batch_size": 16,
    "learning_rate": 1e-2,
    "warmup_share": 0.1,
    "weight_decay": 0.0,
    "verbose": 0,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frozen")
    write_checkpoint(folder / "start")
    write_rows(folder / "train.tsv", 160, seed=1)
    write_rows(folder / "dev.tsv", 60, seed=2)
    return folder


def run(folder, output, **changes):
    return finetune_with(
        TASK,
        folder / "start",
        folder / "train.tsv",
        folder / output,
        validation_path=folder / "dev.tsv",
        **SETTINGS | changes,
    )


@pytest.fixture(scope="module")
def finished(folder):
    return run(folder, "finished", feature_cache=folder / "cache")


def test_learns_on_a_frozen_encoder(folder, finished):
    assert finished["scores"]["accuracy"] >= 0.9
    before = {weight.path: weight.numpy() for weight in load(folder / "start").model.weights}
    kept = [w for w in load(folder / "finished").model.weights if w.path in before]
    assert len(kept) == len(before) - 2  # The pooler has no part in it.
    assert all(np.array_equal(weight.numpy(), before[weight.path]) for weight in kept)


def test_what_is_kept_scores_as_in_training(folder, finished):
    """The kept model runs the encoder; training never did."""
    checkpoint = load_finetuned(folder / "finished")
    scores = evaluate(checkpoint.task, checkpoint, folder / "dev.tsv")
    for name in TASK.metric_names:
        assert scores[name] == pytest.approx(finished["scores"][name], abs=1e-5)


def test_a_second_run_finds_the_features(folder, finished, monkeypatch):
    files = sorted((folder / "cache").iterdir())
    assert [file.suffix for file in files] == [".npy", ".npy"]
    monkeypatch.setattr(feature_cache, "_write_vectors", None)  # Would fail.
    again = run(folder, "again", feature_cache=folder / "cache")
    assert again["scores"] == finished["scores"]
    with pytest.raises(TypeError):
        run(folder, "other", feature_cache=folder / "cache", from_random=True)
    assert sorted((folder / "cache").iterdir()) == files


@pytest.fixture(scope="module")
def built(folder):
    start = load(folder / "start")
    task = dataclasses.replace(TASK, labels=("bad", "good"))
    keras.utils.set_random_seed(3)
    model = task.build_model(encoder_of(start))
    features = task.encode(task.read_examples(folder / "dev.tsv"), start.tokenizer)
    return start, model, features


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float16", 1e-2)])
def test_from_vectors_as_from_tokens(built, tmp_path, dtype, tolerance):
    start, model, features = built
    expected = predict_features(model, features, 16, 16)
    extractor, trained = split(model)
    for folder in (None, tmp_path):
        vectors = as_vectors(extractor, features, start.config, Cache(folder, dtype), 16, 0)
        assert {feature.inputs["token_vectors"].dtype for feature in vectors} == {np.dtype(dtype)}
        outputs = predict_features(trained, vectors, 16, 16)
        for output, wanted in zip(outputs, expected, strict=True):
            np.testing.assert_allclose(output["logits"], wanted["logits"], atol=tolerance)


def test_what_an_interrupted_run_leaves_is_computed_anew(built, tmp_path, monkeypatch):
    start, model, features = built
    extractor, _ = split(model)
    arguments = (extractor, features[:4], start.config, Cache(tmp_path, "float32"), 16, 0)
    first = [feature.inputs["token_vectors"].copy() for feature in as_vectors(*arguments)]
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-100])
    for feature, expected in zip(as_vectors(*arguments), first, strict=True):
        np.testing.assert_array_equal(feature.inputs["token_vectors"], expected)
    file.unlink()

    def stopped(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(feature_cache, "predict_features", stopped)
    with pytest.raises(KeyboardInterrupt):
        as_vectors(*arguments)
    assert not list(tmp_path.iterdir())


def test_the_name_is_of_all_that_the_vectors_depend_on(built):
    start, model, features = built
    extractor, _ = split(model)
    names = {
        feature_cache._digest(extractor, features, start.config, "float32"),
        feature_cache._digest(extractor, features, start.config, "float16"),
        feature_cache._digest(extractor, features[1:], start.config, "float32"),
    }
    weight = model.get_layer("embedding").token_table
    weight.assign(weight + 1)
    names.add(feature_cache._digest(extractor, features, start.config, "float32"))
    assert len(names) == 4


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            {"feature_type": "int8"},
            "must be one of float32, float16. Received: 'int8'",
        ),
        (
            {"task": ClassificationTask(), "feature_cache": "x"},
            "feature_cache needs `features` of a frozen encoder",
        ),
        ({"adversary": "fgm"}, "the embeddings, which `features` freeze"),
        ({"layer_decay": 0.9}, "layer_decay needs an encoder that learns, which `features`"),
        ({"freeze_layers": 1}, "freeze_layers needs an encoder that learns, which `features`"),
    ],
)
def test_options_that_do_not_fit(folder, options, expected):
    task = options.pop("task", TASK)
    files = (folder / "start", folder / "train.tsv", folder / "none")
    with pytest.raises(DataError, match=expected):
        finetune_with(task, *files, **SETTINGS | options)
