"""What is decided before the first step of a fine-tuning run."""

import dataclasses

import pytest

from kbert.config import BertConfig
from kbert.engine import tensorflow
from kbert.finetuning.settings import FinetuningSettings
from kbert.finetuning.training import _models, _pays_to_compile
from kbert.tasks.classification import ClassificationTask
from kbert.tasks.features import Feature, single_segment
from tests.tiny_checkpoint import WORDS, random_checkpoint


def rows(count, *lengths):
    features = [Feature(single_segment([5] * length), 0, {}, {}) for length in lengths]
    return features * (count // len(lengths))


@pytest.fixture(autouse=True)
def _clusters_are_allowed(monkeypatch):
    monkeypatch.setattr(tensorflow, "compile_whole_step", lambda: False)


def test_long_runs_of_large_models_are_compiled():
    base, tiny = BertConfig.preset("base", 30522), BertConfig.preset("tiny", 30522)
    settings = FinetuningSettings()
    assert _pays_to_compile(rows(2000, 60), base, settings)
    assert not _pays_to_compile(rows(20, 60), base, settings)
    assert not _pays_to_compile(rows(2000, 60), tiny, settings)
    assert not _pays_to_compile(rows(2000, 60), base, dataclasses.replace(settings, max_steps=2))
    # Each length of a batch is compiled for itself.
    assert not _pays_to_compile(rows(2000, *range(8, 105, 14)), base, settings)


def test_what_is_compiled_whole_has_no_clusters(monkeypatch):
    monkeypatch.setattr(tensorflow, "compile_whole_step", lambda: True)
    base = BertConfig.preset("base", 30522)
    assert not _pays_to_compile(rows(2000, 60), base, FinetuningSettings())


def test_an_output_layer_is_kept_where_it_reads_the_same():
    """What a layer has learned of one vector of a text says nothing of another."""

    def task(**settings):
        return ClassificationTask(labels=("bad", "good"), **settings)

    start = random_checkpoint(WORDS, task(head="mean"))
    others = {"mean": task(head="mean"), "max": task(head="max"), "pooler": task()}
    others["last layer"] = task(head="mean", features="last")
    kinds = {
        name: _models(other, start, FinetuningSettings(), from_random=False).output_layer
        for name, other in others.items()
    }
    assert kinds.pop("mean") == "of the checkpoint"
    assert set(kinds.values()) == {"new"}
