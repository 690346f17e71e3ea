"""The default learning rate: the paper's for BERT-base, more for narrower encoders."""

import pytest

from kbert import BertConfig
from kbert.finetuning.learning_rate import (
    default_learning_rate,
    sweep_rates,
    with_learning_rate,
)
from kbert.finetuning.settings import FinetuningSettings
from kbert.tasks.classification import ClassificationTask
from kbert.tasks.tagging import TaggingTask

TASK = ClassificationTask(labels=("a", "b"))


@pytest.mark.parametrize(
    ("preset", "rate"),
    [("large", 2.8e-5), ("base", 5e-5), ("medium", 1.1e-4), ("mini", 4.5e-4), ("tiny", 1e-3)],
)
def test_follows_the_width(preset, rate):
    assert default_learning_rate(BertConfig.preset(preset, 100), TASK) == rate


def test_a_sweep_over_base_tries_the_papers_rates():
    assert sweep_rates(BertConfig.preset("base", 100), TASK) == (5e-5, 3e-5, 2e-5)


def test_of_a_frozen_encoder_only_new_layers_learn():
    task = TaggingTask(features="last")
    for preset in ("base", "mini"):
        assert default_learning_rate(BertConfig.preset(preset, 100), task) == 1e-3


def test_a_rate_that_is_given_stays():
    config = BertConfig.preset("mini", 100)
    given = FinetuningSettings(learning_rate=1e-5)
    assert with_learning_rate(given, config, TASK) == given
    assert with_learning_rate(FinetuningSettings(), config, TASK).learning_rate == 4.5e-4
