"""The settings of fine-tuning: what is refused, and how they are options of a command."""

import argparse
import dataclasses

import pytest

from kbert.errors import DataError
from kbert.finetuning.settings import FinetuningSettings
from kbert.settings import add_options, from_options


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"learning_rate": -1.0}, "learning_rate must be at least 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be a finite number"),
        ({"layer_decay": 0.0}, r"layer_decay must be in \(0, 1\]. Received: 0.0"),
        ({"reinitialize": -1}, "reinitialize must be at least 0"),
        ({"seed": 2**32}, "seed must be in"),
        ({"adversary": "gan"}, "adversary must be one of fgm, pgd. Received: 'gan'"),
        ({"adversary": "fgm", "freeze_layers": 1}, "they must not be frozen"),
        ({"adversary": "pgd", "freeze_embeddings": True}, "they must not be frozen"),
    ],
)
def test_refuses(changes, expected):
    with pytest.raises(DataError, match=expected):
        FinetuningSettings(**changes)


def parsed(*argv):
    parser = argparse.ArgumentParser()
    add_options(parser, FinetuningSettings)
    return from_options(FinetuningSettings, parser.parse_args(argv))


def test_every_setting_is_an_option():
    given = FinetuningSettings(
        epochs=7,
        batch_size=9,
        learning_rate=1e-3,
        warmup_share=0.2,
        weight_decay=0.3,
        original_adam=True,
        encoder_dropout=0.4,
        precision="bfloat16",
        seed=5,
        layer_decay=0.95,
        reinitialize=2,
        freeze_embeddings=True,
        freeze_layers=3,
        accumulate=2,
        max_steps=30,
        schedule="slanted-triangular",
        log_every=4,
        save_every=6,
    )
    others = FinetuningSettings(
        adversary="pgd",
        adversary_radius=0.5,
        pgd_steps=4,
        pgd_step_size=0.1,
        augment=2,
        augment_by=("swap", "fill"),
        augment_share=0.3,
        teacher=("one", "two"),
        teacher_share=0.9,
        teacher_temperature=3.0,
        unfreeze_every=0.5,
    )
    fields = dataclasses.fields(FinetuningSettings)
    for field in fields:
        assert any(getattr(s, field.name) != field.default for s in (given, others)), field.name
    for settings in (given, others):
        argv = []
        for field in fields:
            value = getattr(settings, field.name)
            if value != field.default:
                values = value if isinstance(value, tuple) else [] if value is True else [value]
                argv += ["--" + field.name.replace("_", "-"), *map(str, values)]
        assert parsed(*argv) == settings


@pytest.mark.parametrize(
    ("changes", "needs"),
    [
        ({"adversary_radius": 0.5}, "an adversary"),
        ({"adversary": "fgm", "pgd_steps": 2}, "the adversary pgd"),
        ({"augment_by": ("fill",)}, "augment"),
        ({"teacher_temperature": 1.5}, "a teacher"),
    ],
)
def test_what_nothing_would_read_is_refused(changes, needs):
    with pytest.raises(DataError, match=f"{list(changes)[-1]} needs {needs}. Received: "):
        FinetuningSettings(**changes)
