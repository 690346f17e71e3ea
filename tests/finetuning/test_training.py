"""What is decided before the first step of a fine-tuning run."""

import dataclasses

import pytest

from kbert.config import BertConfig
from kbert.engine import tensorflow
from kbert.finetuning.settings import FinetuningSettings
from kbert.finetuning.training import _pays_to_compile
from kbert.tasks.features import Feature, single_segment


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
