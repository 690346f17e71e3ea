"""The learning rate of a run that is given none: it follows the width of the encoder."""

import dataclasses

from kbert.config import BertConfig
from kbert.finetuning.settings import FinetuningSettings
from kbert.tasks.base import Task

_BASE_RATE, _BASE_WIDTH = 5e-5, 768  # of BERT-base (arXiv 1810.04805, appendix A.3)
_HIGHEST = 1e-3
_OF_NEW_LAYERS = 1e-3


def default_learning_rate(config: BertConfig, task: Task) -> float:
    """The rate at the end of the warm-up, 5e-5 x (768 / hidden_dim)^2, but at most 1e-3.

    It is the paper's for BERT-base. Narrower encoders need more: at 5e-5 they learn little in three
    epochs (docs/results.md has the table, benchmarks/learning_rates.py makes it). With `features`
    of a frozen encoder only new layers learn: 1e-3.
    """
    if task.features is not None:
        return _OF_NEW_LAYERS
    rate = _BASE_RATE * (_BASE_WIDTH / config.hidden_dim) ** 2
    return min(float(f"{rate:.1e}"), _HIGHEST)


def sweep_rates(config: BertConfig, task: Task) -> tuple[float, ...]:
    """1, 0.6 and 0.4 times the default: for BERT-base the paper's 5e-5, 3e-5 and 2e-5."""
    rate = default_learning_rate(config, task)
    return tuple(float(f"{rate * share:.1e}") for share in (1, 0.6, 0.4))


def with_learning_rate(
    settings: FinetuningSettings, config: BertConfig, task: Task
) -> FinetuningSettings:
    """The settings with the default rate for this encoder, where they say none."""
    if settings.learning_rate is not None:
        return settings
    return dataclasses.replace(settings, learning_rate=default_learning_rate(config, task))
