"""The cells of a grid: one run each, named by a hash of all that its result depends on.

OUTPUT/cells/HASH/result.json    what it was asked for and what it found; there when it is done
OUTPUT/cells/HASH/checkpoint     the trained model of pre-training
OUTPUT/cells/HASH/log.txt        what the run printed
"""

import hashlib
import pathlib
from typing import Any, NamedTuple

import numpy as np

from kbert.checkpoints.formats import ENSEMBLE_INDEX
from kbert.files import as_json, read_object
from kbert.finetuning.output import LOGS
from kbert.finetuning.settings import WITHOUT_EFFECT, FinetuningSettings
from kbert.laboratory.grid import Finetuning, Judging, Pretraining, Recipe
from kbert.pretraining.settings import PretrainingSettings

# Of what a cell computes; another number makes all cells new.
_FORMAT = 1
RESULT = "result.json"
CHECKPOINT, FINETUNED = "checkpoint", "finetuned"


class Cell(NamedTuple):
    """One run of the grid.

    Attributes:
        what: how it is done.
        inputs: all that the result depends on, ready for JSON: settings, digests of files.
        seed: of the grid; `inputs` has that of the run.
        start: the pre-training that it begins with: a cell, or a checkpoint's folder; None for a
            new model.
        resamples: draws of the test rows.
    """

    what: Pretraining | Finetuning | Judging
    inputs: dict
    seed: int
    start: "Cell | pathlib.Path | None" = None
    resamples: int = 0

    @property
    def key(self) -> str:
        """Of all inputs."""
        return _digest_of(self.inputs)

    @property
    def shape(self) -> str:
        """Of what the time depends on: not of the seed, nor of what the start has learned."""
        config = self.start.inputs["config"] if isinstance(self.start, Cell) else str(self.start)
        return _digest_of(self.inputs | {"seed": None, "start": config})

    def folder(self, output: pathlib.Path) -> pathlib.Path:
        """Where it works and what it leaves."""
        return output / "cells" / self.key

    def result(self, output: pathlib.Path) -> dict | None:
        """What it found; None where it is not done."""
        file = self.folder(output) / RESULT
        return read_object(file) if file.is_file() else None

    def checkpoint(self, output: pathlib.Path) -> pathlib.Path:
        """The model that a cell of pre-training has trained."""
        return self.folder(output) / CHECKPOINT

    def logs(self, output: pathlib.Path) -> pathlib.Path:
        """The curves of its training, for TensorBoard."""
        trained = CHECKPOINT if isinstance(self.what, Pretraining) else FINETUNED
        return self.folder(output) / trained / LOGS

    def with_starts(self) -> "list[Cell]":
        """The cells that it begins with, the first one first, and itself."""
        before = self.start.with_starts() if isinstance(self.start, Cell) else []
        return [*before, self]


class Chain(NamedTuple):
    """A variant with one seed: its pre-training, and what is done with the model, by task.

    The value of a task that scores the pre-training run itself is None.
    """

    variant: str
    seed: int
    pretraining: Cell | None
    tasks: dict[str, Cell | None]

    @property
    def cells(self) -> list[Cell]:
        """Each once, in an order in which they can be run."""
        last = [cell for cell in (self.pretraining, *self.tasks.values()) if cell is not None]
        return list({cell.key: cell for end in last for cell in end.with_starts()}.values())

    @property
    def pretrainings(self) -> list[Cell]:
        """Those of its cells that pre-train: what goes on is one more."""
        return [cell for cell in self.cells if isinstance(cell.what, Pretraining)]


def chains_of(recipe: Recipe) -> list[Chain]:
    """The whole grid, seed by seed, so that what is there of a stopped one is paired."""
    digests = _Digests()
    return [
        _chain(recipe, name, seed, digests) for seed in recipe.seeds for name in recipe.variants
    ]


def _chain(recipe: Recipe, name: str, seed: int, digests: "_Digests") -> Chain:
    variant = recipe.variants[name]
    start, tasks = _made(variant.start, seed, digests), {}
    for task, what in variant.tasks.items():
        tasks[task] = None
        if isinstance(what, Finetuning | Judging):
            own = start
            if isinstance(what, Finetuning) and what.continued is not None:
                own = _made(what.continued, seed, digests)
            inputs = _task_inputs(what, seed, digests)
            inputs["start"] = _digest(own, digests)
            inputs["resamples"] = recipe.resamples
            tasks[task] = Cell(what, inputs, seed, own, recipe.resamples)
    return Chain(name, seed, start if isinstance(start, Cell) else None, tasks)


def pretraining_cell(what: Pretraining, seed: int) -> Cell:
    """The cell of a pre-training run."""
    return _made(what, seed, _Digests())


def _made(what: Pretraining | pathlib.Path, seed: int, digests: "_Digests") -> Cell | pathlib.Path:
    """The cell of a pre-training run; a checkpoint's folder as it is."""
    if not isinstance(what, Pretraining):
        return what
    inputs = {
        "format": _FORMAT,
        "kind": "pretraining",
        "seed": seed,
        "store": digests[what.store / "store.json"],  # It has the checksums of the arrays.
        "vocabulary": digests[what.store / "vocab.txt"],
        "config": what.config.to_dict(),
        "settings": _settings(what.settings, digests),
        "held_out": what.schedule.validation_batches,
    }
    if what.start is None:
        return Cell(what, inputs, seed)
    start = _made(what.start, seed, digests)
    stages = len(start.with_starts()) if isinstance(start, Cell) else 1
    # Rows and masks of a run follow from its seed: those of its start are not drawn again.
    inputs |= {"seed": further_seed(seed, stages), "start": _digest(start, digests)}
    return Cell(what, inputs, seed, start)


def further_seed(seed: int, number: int) -> int:
    """The seed itself for the first of several runs, number 0; for others one that no grid has."""
    if number == 0:
        return seed
    return int(np.random.SeedSequence((seed, number)).generate_state(1)[0])


def _digest(start: Cell | pathlib.Path, digests: "_Digests") -> str:
    return start.key if isinstance(start, Cell) else digests[start]


def _task_inputs(what: Finetuning | Judging, seed: int, digests: "_Digests") -> dict:
    if isinstance(what, Judging):
        pairs, exponent = digests[what.pairs], what.settings.length_exponent
        return {
            "format": _FORMAT,
            "kind": "judge",
            "seed": seed,
            "pairs": pairs,
            "limit": what.settings.limit,
            # A sum has no entry, so that it is the same cell in recipes that do not say it.
            **({"length_exponent": exponent} if exponent else {}),
        }
    return {
        "format": _FORMAT,
        "kind": "finetuning",
        "seed": seed,
        "task": {"name": what.task.name, **what.task.to_json()},
        "settings": _settings(what.settings, digests),
        "rows": what.rows.to_json(),
        "choice": what.choice.to_json(),
        "from_random": what.from_random,
        # One alone has no entry, so that it is the same cell in recipes that do not say it.
        **({"members": what.members} if what.members > 1 else {}),
        "train": [digests[file] for file in what.train],
        "validation": digests[what.validation] if what.validation else None,
        "test": digests[what.test],
    }


def _settings(settings: PretrainingSettings | FinetuningSettings, digests: "_Digests") -> dict:
    """With what teachers hold in the place of their paths."""
    values, paths = settings.to_json(), settings.teacher
    if isinstance(settings, FinetuningSettings):
        values |= {name: getattr(FinetuningSettings, name) for name in WITHOUT_EFFECT}
    if paths is not None:
        paths = [paths] if isinstance(paths, str) else paths
        values["teacher"] = [digests[pathlib.Path(path)] for path in paths]
    return values


class _Digests(dict):
    """Path of a file or a folder -> a hash of what it holds."""

    def __missing__(self, path: pathlib.Path) -> str:
        found = hashlib.sha256()
        for file in _files(path):
            if file.is_file():
                with open(file, "rb") as opened:
                    found.update(hashlib.file_digest(opened, "sha256").digest())
        self[path] = found.hexdigest()[:32]
        return self[path]


def _files(path: pathlib.Path) -> list[pathlib.Path]:
    """A file, or those in a folder; of an ensemble its members', too."""
    if not path.is_dir():
        return [path]
    return sorted(path.rglob("*") if (path / ENSEMBLE_INDEX).exists() else path.iterdir())


def _digest_of(values: dict) -> str:
    return hashlib.sha256(as_json(_sorted(values)).encode("utf-8")).hexdigest()[:16]


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return value
