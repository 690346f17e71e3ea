"""The cells of a grid: one run each, named by a hash of all that its result depends on.

OUTPUT/cells/HASH/result.json    what it was asked for and what it found; there when it is done
OUTPUT/cells/HASH/checkpoint     the trained model of pre-training
OUTPUT/cells/HASH/log.txt        what the run printed
"""

import contextlib
import dataclasses
import gc
import hashlib
import pathlib
import shutil
import time
from typing import Any, NamedTuple

from kbert.checkpoints.formats import ENSEMBLE_INDEX, load_any, load_finetuned
from kbert.checkpoints.model_card import SUMMARY
from kbert.config import BertConfig
from kbert.corpus.store import TokenStore
from kbert.engine.precision import PRECISIONS, dtype_policy, set_precision
from kbert.errors import TrainingError
from kbert.files import as_json, read_object, write_json
from kbert.finetuning.output import LOGS
from kbert.finetuning.rows import encode
from kbert.finetuning.run import finetune
from kbert.finetuning.settings import FinetuningSettings
from kbert.inference.answering import answer_features
from kbert.laboratory.grid import Finetuning, Judging, Pretraining, Recipe
from kbert.laboratory.minimal_pairs import is_right, read_pairs, shares_by
from kbert.laboratory.statistics import resampled, resampled_tally
from kbert.metrics.tally import share_of
from kbert.pretraining.run import pretrain
from kbert.pretraining.settings import PretrainingSettings
from kbert.tasks.readers.bad_rows import BadRows

# Of what a cell computes; another number makes all cells new.
_FORMAT = 1
_RESULT, _LOG = "result.json", "log.txt"
_CHECKPOINT, _FINETUNED = "checkpoint", "finetuned"


class Cell(NamedTuple):
    """One run of the grid.

    Attributes:
        what: how it is done.
        inputs: all that the result depends on, ready for JSON: settings, digests of files.
        seed: of the run.
        start: the pre-training that it begins with: a cell, or a checkpoint's folder.
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
        file = self.folder(output) / _RESULT
        return read_object(file) if file.is_file() else None

    def checkpoint(self, output: pathlib.Path) -> pathlib.Path:
        """The model that a cell of pre-training has trained."""
        return self.folder(output) / _CHECKPOINT

    def logs(self, output: pathlib.Path) -> pathlib.Path:
        """The curves of its training, for TensorBoard."""
        trained = _CHECKPOINT if isinstance(self.what, Pretraining) else _FINETUNED
        return self.folder(output) / trained / LOGS


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
        """In the order in which they can be run."""
        return [cell for cell in (self.pretraining, *self.tasks.values()) if cell is not None]


def chains_of(recipe: Recipe) -> list[Chain]:
    """The whole grid, seed by seed, so that what is there of a stopped one is paired."""
    digests = _Digests()
    return [
        _chain(recipe, name, seed, digests) for seed in recipe.seeds for name in recipe.variants
    ]


def run_chain(chain: Chain, output: pathlib.Path) -> None:
    """Run the cells of a chain that are not done."""
    for cell in chain.cells:
        if cell.result(output) is None:
            run_cell(cell, output)


def run_cell(cell: Cell, output: pathlib.Path) -> dict:
    """Run a cell, or go on with it where it stopped; returns its result.

    A run whose loss becomes NaN has no scores: the result's "error" says why. Its cells further on
    have the same. Raises what its parts raise otherwise.
    """
    folder = cell.folder(output)
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with open(folder / _LOG, "a", encoding="utf-8") as log, contextlib.redirect_stdout(log):
        try:
            found = _run(cell, output)
        except TrainingError as error:
            if isinstance(error.__cause__, OSError):  # A full disk, which says nothing of the run.
                raise
            found = {"error": str(error), "scores": {}}
    seconds = time.monotonic() - began
    result = {"inputs": cell.inputs, "seconds": seconds, "error": None, **found}
    write_json(folder / _RESULT, result)
    _clean(folder)
    return result


def _clean(folder: pathlib.Path) -> None:
    """Remove what a cell needs only until it has its result: saves, and fine-tuned weights."""
    left = [folder / _CHECKPOINT / "steps"]
    if (folder / _FINETUNED).is_dir():
        left += [path for path in (folder / _FINETUNED).iterdir() if path.name != LOGS]
    for path in left:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _chain(recipe: Recipe, name: str, seed: int, digests: "_Digests") -> Chain:
    variant = recipe.variants[name]
    first, start = None, variant.start
    if isinstance(variant.start, Pretraining):
        first = start = _pretraining(variant.start, seed, digests)
    tasks = {}
    for task, what in variant.tasks.items():
        tasks[task] = None
        if isinstance(what, Finetuning | Judging):
            inputs = _task_inputs(what, seed, digests)
            inputs["start"] = first.key if first else digests[variant.start]
            inputs["resamples"] = recipe.resamples
            tasks[task] = Cell(what, inputs, seed, start, recipe.resamples)
    return Chain(name, seed, first, tasks)


def pretraining_cell(what: Pretraining, seed: int) -> Cell:
    """The cell of a pre-training run."""
    return _pretraining(what, seed, _Digests())


def _pretraining(what: Pretraining, seed: int, digests: "_Digests") -> Cell:
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
    return Cell(what, inputs, seed)


def _task_inputs(what: Finetuning | Judging, seed: int, digests: "_Digests") -> dict:
    if isinstance(what, Judging):
        pairs = digests[what.pairs]
        return {
            "format": _FORMAT,
            "kind": "judge",
            "seed": seed,
            "pairs": pairs,
            "limit": what.limit,
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
        "train": [digests[file] for file in what.train],
        "validation": digests[what.validation] if what.validation else None,
        "test": digests[what.test],
    }


def _settings(settings: PretrainingSettings | FinetuningSettings, digests: "_Digests") -> dict:
    """With what teachers hold in the place of their paths."""
    values, paths = settings.to_json(), settings.teacher
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


def _run(cell: Cell, output: pathlib.Path) -> dict:
    gc.collect()  # The models of cells before: they hold circles of references.
    if isinstance(cell.what, Pretraining):
        return _pretrain(cell, output)
    start = cell.start
    if isinstance(start, Cell):
        before = start.result(output)
        if before["error"] is not None:
            return {"error": before["error"], "scores": {}}
        start = start.checkpoint(output)
    run = _judge if isinstance(cell.what, Judging) else _finetune
    with dtype_policy("float32"):
        return run(cell, start, cell.folder(output))


def _pretrain(cell: Cell, output: pathlib.Path) -> dict:
    what, run = cell.what, cell.checkpoint(output)
    settings = dataclasses.replace(what.settings, seed=cell.seed)
    schedule = dataclasses.replace(what.schedule, keep=1)
    config = BertConfig(**cell.inputs["config"])
    with dtype_policy(PRECISIONS[settings.precision]):
        found = pretrain(TokenStore(what.store), run, config, settings, schedule)
    return {
        "scores": found["held_out"],
        "first_step": found["first_step"],
        "steps": found["steps"],
        "parameters": config.num_parameters(),
    }


def _finetune(cell: Cell, start: pathlib.Path, folder: pathlib.Path) -> dict:
    what, model = cell.what, folder / _FINETUNED
    if not (model / SUMMARY).is_file():
        finetune(
            what.task,
            start,
            what.train,
            model,
            dataclasses.replace(what.settings, seed=cell.seed),
            validation_path=what.validation,
            **what.rows.to_json(),
            **what.choice.to_json(),
            from_random=what.from_random,
            verbose=0,
        )
    summary = read_object(model / SUMMARY)
    set_precision("float32")
    began = time.monotonic()
    found = _scored(model, what, cell.resamples)
    names = ("first_step", "steps", "epochs", "train_rows", "best_epoch", "validation_rows")
    return {
        **{name: summary[name] for name in names},
        "failed": summary["failed"],
        "scoring_seconds": time.monotonic() - began,
        **found,
    }


def _scored(model: pathlib.Path, what: Finetuning, resamples: int) -> dict:
    """The scores of a fine-tuned model on the test rows, and of its metric on drawn rows."""
    checkpoint, bad = load_finetuned(model), BadRows()
    # The columns are the recipe's: the labels are the model's.
    task, metric = checkpoint.task, what.choice.metric
    examples = task.read_examples(what.test, bad=bad)
    features = encode(task, examples, checkpoint.tokenizer, bad)
    batch = what.settings.batch_size
    answers = answer_features(task, checkpoint.model, features, examples, batch)

    def score(rows):
        found = task.metrics([answers[row] for row in rows], [examples[row] for row in rows])
        return found[metric]

    scores, tally = task.metrics(answers, examples), task.tally(metric, answers, examples)
    if tally is None:
        drawn = resampled(score, len(examples), resamples)
    else:
        drawn = resampled_tally(tally, resamples)
    return {
        "scores": {name: scores[name] for name in task.metric_names},
        "test_rows": len(examples),
        "trivial_score": task.trivial_score(examples),
        "drawn": drawn.tolist(),
    }


def _judge(cell: Cell, start: pathlib.Path, folder: pathlib.Path) -> dict:
    pairs = read_pairs(cell.what.pairs, cell.what.limit)
    right = is_right(load_any(start), pairs)
    return {
        "scores": {"accuracy": float(right.mean())},
        "test_rows": len(pairs),
        "phenomena": shares_by([pair.phenomenon for pair in pairs], right),
        "drawn": resampled_tally(share_of(right), cell.resamples).tolist(),
    }
