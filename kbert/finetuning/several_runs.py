"""Fine-tuning several times on the same rows: restarts with other seeds, sweeps over settings.

OUTPUT                  the best run's checkpoint and its finetune.json
OUTPUT/runs.json        what was asked for, each run's scores, their mean and deviation
OUTPUT/runs/NAME        of each run its finetune.json and TensorBoard's logs, with HParams
"""

import dataclasses
import itertools
import json
import math
import pathlib
import shutil
import statistics
from collections.abc import Mapping, Sequence

from kbert.checkpoints.directory import FILES, copy
from kbert.errors import DataError, TrainingError
from kbert.files import read_object, write_json
from kbert.finetuning.rows import FinetuningRows, read_rows
from kbert.finetuning.run import SUMMARY, check_output, checked_metric, finetune_on
from kbert.finetuning.settings import EpochChoice, FinetuningSettings
from kbert.tasks.base import Task

RUNS, REPORT = "runs", "runs.json"


def seeds(first: int, count: int) -> dict[str, dict]:
    """`count` restarts: name of a run -> what differs in its settings."""
    if count < 1:
        raise DataError(f"Expected one seed at least. Received: {count}.")
    return {f"seed={seed}": {"seed": seed} for seed in range(first, first + count)}


def grid(values: Mapping[str, Sequence]) -> dict[str, dict]:
    """Every combination of the settings' values: name of a run -> what differs in its settings."""
    values = {name: dict.fromkeys(own) for name, own in values.items()}  # Each once.
    cells = [dict(zip(values, cell, strict=True)) for cell in itertools.product(*values.values())]
    return {",".join(f"{name}={value}" for name, value in cell.items()): cell for cell in cells}


def finetune_several(
    task: Task,
    checkpoint: str | pathlib.Path,
    train_path: str | pathlib.Path,
    output: str | pathlib.Path,
    settings: FinetuningSettings,
    changes: Mapping[str, dict],
    *,
    metric: str | None = EpochChoice.metric,
    patience: int | None = EpochChoice.patience,
    from_random: bool = False,
    overwrite: bool = False,
    verbose: int = 1,
    **which_rows,
) -> dict:
    """`finetune` once for each of `changes`, as `seeds` or `grid` give them; keep the best run.

    All runs learn from the same rows and are scored on the same held-out rows, whatever their
    seeds. Called again with the same arguments after it was stopped, or with more `changes`, it
    does the runs that are missing. A run whose loss becomes NaN has failed, and so has one that
    scores no better than an answer that knows nothing of the text (`Task.trivial_score`).

    Args: those of `finetune`; `which_rows` are the keywords of `read_rows`. `overwrite` begins from
        the start.

    Returns what runs.json holds: "best", the name of the best run by `metric`; "runs", the scores
    of each; "failed", how many did; "mean" and "standard_deviation" (of the sample; None of one
    run) of each score, over the runs that have scores.

    Raises DataError for input that does not fit, and for an output that holds other runs;
    TrainingError where no run has a score.
    """
    metric = EpochChoice(checked_metric(task, metric), patience).metric
    request = {
        "task": {"name": task.name, **task.to_json()},
        "from": str(checkpoint),
        "train": str(train_path),
        **{name: value if value is None else str(value) for name, value in which_rows.items()},
        "metric": metric,
        "patience": patience,
        "from_random": from_random,
        **common_settings(settings, changes),
        "rows_drawn_by": settings.seed,
    }
    request = json.loads(json.dumps(request))  # As it is read again: with lists for tuples.
    output = open_output(output, checkpoint, request, overwrite)
    rows = read_rows(task, checkpoint, train_path, seed=settings.seed, **which_rows)
    if not rows.validation:
        raise DataError("Runs are compared on held-out rows: expected a validation file or share.")
    write_json(output / REPORT, {"request": request})
    for name, change in changes.items():
        if not (output / RUNS / name / SUMMARY).exists():
            own = dataclasses.replace(settings, **change)
            run(rows, checkpoint, output / RUNS / name, own, metric, patience, from_random, verbose)
        report = keep_best(output, request, rows, metric)
    if report["best"] is None:
        raise TrainingError(f"None of {len(report['runs'])} runs has a score; see {output / RUNS}.")
    return report


def run(
    rows: FinetuningRows,
    checkpoint: str | pathlib.Path,
    folder: pathlib.Path,
    settings: FinetuningSettings,
    metric: str,
    patience: int | None,
    from_random: bool,
    verbose: int,
) -> None:
    """One run. Its finetune.json comes last, and stands for a run that is done."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        finetune_on(
            rows, checkpoint, folder, settings, EpochChoice(metric, patience), from_random, verbose
        )
    except TrainingError as error:
        failure = {"error": str(error), **dataclasses.asdict(settings), "scores": {}}
        write_json(folder / SUMMARY, failure)


def common_settings(settings: FinetuningSettings, changes: Mapping[str, dict]) -> dict:
    """The settings that all runs have."""
    varied = {name for change in changes.values() for name in change}
    values = dataclasses.asdict(settings)
    return {name: value for name, value in values.items() if name not in varied}


def open_output(
    output: str | pathlib.Path, checkpoint: str | pathlib.Path, request: dict, overwrite: bool
) -> pathlib.Path:
    """Raises DataError for an output that holds something else than runs of this request."""
    output = pathlib.Path(output)
    if overwrite:
        shutil.rmtree(output / RUNS, ignore_errors=True)
    known = (output / REPORT).is_file()
    output = check_output(output, checkpoint, overwrite or known)
    if not any(output.glob(f"{RUNS}/*/{SUMMARY}")):
        return output
    earlier = read_object(output / REPORT).get("request") if known else None
    if not isinstance(earlier, dict):
        raise DataError(f"{output / REPORT} does not say what runs these are.")
    other = [name for name in earlier | request if earlier.get(name) != request.get(name)]
    if other:
        raise DataError(
            f"{output} holds runs with another {', '.join(other)}. "
            "Choose another output, or overwrite it."
        )
    return output


def keep_best(output: pathlib.Path, request: dict, rows: FinetuningRows, metric: str) -> dict:
    """Write runs.json; move the best run's checkpoint to the output, and drop those of others.

    May be stopped anywhere and done again.
    """
    found = {
        file.parent.name: read_object(file) for file in sorted((output / RUNS).glob(f"*/{SUMMARY}"))
    }
    scored = [name for name in found if found[name]["scores"]]
    best = max(scored, key=lambda name: rank(found[name]["scores"][metric], metric), default=None)
    if best is not None:
        # config.json, the first of FILES, is removed first: where it is, the others are, too.
        if (output / RUNS / best / FILES[0]).is_file():
            copy(output / RUNS / best, output)
        write_json(output / SUMMARY, found[best])
    for name in found:
        for file in FILES:
            (output / RUNS / name / file).unlink(missing_ok=True)
    report = {"request": request, "metric": metric, "best": best, **statistics_of(found, rows)}
    write_json(output / REPORT, report)
    return report


def rank(score: float, metric: str) -> float:
    """Higher is better; what is no number is the worst."""
    if math.isnan(score):
        return -math.inf
    return -score if metric == "loss" else score


def statistics_of(found: Mapping[str, dict], rows: FinetuningRows) -> dict:
    """What runs.json says of the runs together."""
    names, trivial = rows.task.metric_names, rows.task.trivial_score(rows.validation)
    shown = {field.name for field in dataclasses.fields(FinetuningSettings)}
    shown |= {"best_epoch", "seconds", "error"}
    runs = {}
    for name, summary in found.items():
        scores = {key: summary["scores"][key] for key in names if key in summary["scores"]}
        # Not at or below; so that a score that is no number has failed too.
        failed = not scores.get(names[0], -math.inf) > trivial + 1e-9
        values = {key: summary[key] for key in summary if key in shown}
        runs[name] = {**values, "failed": failed, "scores": scores}
    columns = {
        key: [run["scores"][key] for run in runs.values() if key in run["scores"]] for key in names
    }
    return {
        "trivial_score": trivial,
        "failed": sum(run["failed"] for run in runs.values()),
        "mean": {key: statistics.fmean(column) for key, column in columns.items() if column},
        "standard_deviation": {
            key: statistics.stdev(column) if len(column) > 1 else None
            for key, column in columns.items()
        },
        "runs": runs,
    }
