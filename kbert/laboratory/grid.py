"""What a recipe describes: models, how each is made, what is done with it, what is expected."""

import pathlib
from typing import NamedTuple

from kbert.checkpoints.directory import load_config
from kbert.config import BertConfig
from kbert.finetuning.settings import EpochChoice, FinetuningSettings, RowSettings
from kbert.laboratory.settings import JudgeSettings, SearchSettings
from kbert.pretraining.settings import PretrainingSettings, Schedule
from kbert.tasks.base import Task

# Name of the variant that a search adds to a grid.
FOUND = "found by search"


class Pretraining(NamedTuple):
    """How a model is made, but for the seed.

    Attributes:
        start: what it goes on with: another run, or the folder of a checkpoint; None for a new
            model.
    """

    store: pathlib.Path
    config: BertConfig
    settings: PretrainingSettings
    schedule: Schedule
    start: "Pretraining | pathlib.Path | None" = None


class Finetuning(NamedTuple):
    """How a model is fine-tuned and scored, but for the seed.

    Attributes:
        members: models of the same start, each with a seed of its own, that answer as one.
        continued: the pre-training that comes before, of the variant's model; None for none.
    """

    task: Task
    settings: FinetuningSettings
    rows: RowSettings
    choice: EpochChoice
    from_random: bool
    members: int
    train: tuple[pathlib.Path, ...]
    validation: pathlib.Path | None
    test: pathlib.Path
    continued: Pretraining | None = None


class Judging(NamedTuple):
    """Minimal pairs to be judged."""

    pairs: pathlib.Path
    settings: JudgeSettings


class HeldOut(NamedTuple):
    """A score of the pre-training run."""

    metric: str


def config_of(start: Pretraining | pathlib.Path) -> BertConfig:
    """The architecture of the model that a run, or a checkpoint, gives."""
    return start.config if isinstance(start, Pretraining) else load_config(start)


class Variant(NamedTuple):
    """One model of a recipe.

    Attributes:
        start: how it is pre-trained, or the folder of a checkpoint.
        tasks: what is done with it, by the tasks' names.
    """

    start: Pretraining | pathlib.Path
    tasks: dict[str, Finetuning | Judging | HeldOut]

    @property
    def config(self) -> BertConfig:
        """The architecture."""
        return config_of(self.start)

    def stages(self) -> list[Pretraining]:
        """All its runs of pre-training, each behind the one that it goes on with."""
        found, start = [], self.start
        while isinstance(start, Pretraining):
            found.insert(0, start)
            start = start.start
        own = [spec.continued for spec in self.tasks.values() if isinstance(spec, Finetuning)]
        return [*found, *filter(None, own)]


class Search(NamedTuple):
    """A search for the best placement of LayerNorm, whose winner is one variant more.

    Attributes:
        start: how its runs are made, but for the placement.
    """

    settings: SearchSettings
    start: Pretraining


class Found(NamedTuple):
    """What a search has found.

    Attributes:
        trials: placements that were tried, the same one again among them.
        stopped: how many of them were stopped before the end.
        best: (placement, score) of those that were not, the best first.
    """

    trials: int
    stopped: int
    best: list[tuple[str, float]]


class Recipe(NamedTuple):
    """What a file says.

    Attributes:
        seeds: of pre-training and fine-tuning.
        paper: task -> variant -> the published figure.
        expected: task -> variant -> the sign of its difference to the baseline that is expected.
        search: that comes first; None without.
        found: by it; None before its end.
    """

    title: str
    source: str | None
    seeds: tuple[int, ...]
    resamples: int
    baseline: str
    variants: dict[str, Variant]
    tasks: tuple[str, ...]
    paper: dict[str, dict[str, float]]
    expected: dict[str, dict[str, str]]
    search: Search | None = None
    found: Found | None = None
