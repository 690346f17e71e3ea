"""Checkpoints served as they are: the answers of their exports, and which views there are."""

import keras
import numpy as np
import pytest

from kbert import export_saved_model, save
from kbert.engine.precision import dtype_policy
from kbert.errors import DataError
from kbert.serving.checkpoint_or_export import load_answerer, load_served
from kbert.serving.models import Models, served_names
from kbert.serving.predictor import Predictor


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("checkpoints")


@pytest.mark.parametrize("name", ["single", "pairs", "choice"])
def test_a_checkpoint_answers_as_its_export(name, request, folder):
    checkpoint, exported = request.getfixturevalue(name)
    save(folder / name, checkpoint)
    served, predictor = load_served(folder / name), load_served(exported)
    assert (served.form, predictor.form) == ("checkpoint", "export")
    platforms = served.platform, predictor.platform
    assert platforms == ("keras_checkpoint", "tensorflow_savedmodel")
    assert isinstance(predictor, Predictor) and served.fields == predictor.fields
    instances = {
        "single": [{"text": "the film was good"}, {"text": "今天"}],
        "pairs": [{"text": "the film was good", "second": "bad music"}],
        "choice": [{"context": "the film", "choices": ["was good", "bad", "music"]}],
    }[name]
    for one, other in zip(served.predict(instances), predictor.predict(instances), strict=True):
        assert one["label"] == other["label"]
        assert one["score"] == pytest.approx(other["score"], abs=1e-5)
    explained = {"contributions"} - ({"contributions"} if name == "choice" else set())
    assert set(served.views.answerers) == {"tokens", "attention"} | explained
    assert set(predictor.views.lacking) == {"attention"} | explained
    # Each view answers, whatever the kind.
    text = {key: "the film" for key in ("text", "second")[: 1 + (name != "single")]}
    for answerer in (*served.views.answerers.values(), *predictor.views.answerers.values()):
        (answer,) = answerer.predict([text])
        assert answer["tokens"][1]["token"] == "the"


def test_a_masked_lm_fills_masks_and_its_export_gives_vectors(pretrained, folder):
    checkpoint, exported = pretrained
    save(folder / "pretrained", checkpoint)
    served, predictor = load_served(folder / "pretrained"), load_served(exported)
    assert set(served.views.answerers) == {"tokens", "attention", "vectors", "fill-mask"}
    (answer,) = served.predict(["the [MASK] was good"])
    assert len(answer["masks"]) == 1
    assert predictor.views.lacking == {
        "attention": "needs-checkpoint",
        "fill-mask": "needs-checkpoint",
    }
    export_saved_model(folder / "filling", checkpoint, answers="fill-mask")
    filling = load_served(folder / "filling")
    lacks = dict.fromkeys(("attention", "fill-mask", "similarity"), "needs-checkpoint")
    assert filling.views.lacking == lacks
    (shown,) = filling.views.answerers["tokens"].predict(["the [MASK]"])
    assert [token["token"] for token in shown["tokens"]] == ["[CLS]", "the", "[MASK]", "[SEP]"]
    texts = ["the film was good", "今天"]
    one, other = (
        [answer["embedding"] for answer in model.views.answerers["vectors"].predict(texts)]
        for model in (served, predictor)
    )
    np.testing.assert_allclose(one, other, atol=1e-4)
    served_as_in_v1 = [answer["embedding"] for answer in predictor.predict(texts)]
    np.testing.assert_allclose(other, served_as_in_v1, atol=1e-5)


def test_predicting_leaves_keras_as_it_was(folder, single):
    save(folder / "policy", single[0])
    with dtype_policy("bfloat16"):
        assert load_answerer(folder / "policy").model.dtype_policy.name == "float32"
        assert keras.config.dtype_policy().name == "bfloat16"


def test_names_and_refusals(folder, single):
    found = served_names([folder / "a" / "checkpoint", folder / "b", folder / "c" / "2"])
    assert list(found) == ["a", "b", "c"]
    save(folder / "both" / "checkpoint", single[0])
    models = Models(served_names([folder / "both" / "checkpoint", single[1]]), load_served)
    assert models.names == ["both", "single"]
    models.refresh()  # A checkpoint has no newer version.
    assert models.get("both").version == 1
    with pytest.raises(DataError, match="There is no folder"):
        load_served(folder / "none")
