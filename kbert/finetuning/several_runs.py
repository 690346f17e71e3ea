"""Fine-tuning several times on the same rows: restarts with other seeds, sweeps over settings.

OUTPUT                  the best run's checkpoint and its finetune.json
OUTPUT/runs.json        what was asked for, each run's scores, their mean and deviation
OUTPUT/runs/NAME        of each run its finetune.json and TensorBoard's logs, with HParams

Until the last run is done, OUTPUT.unfinished holds runs.json and runs/, and OUTPUT is as it was.
"""

import dataclasses
import itertools
import json
import pathlib
import shutil
import statistics
from collections.abc import Mapping, Sequence

import numpy as np

from kbert.checkpoints.directory import FILES, Checkpoint, copy
from kbert.checkpoints.hubs import SOURCE, pinned, read_source
from kbert.checkpoints.model_card import REPORT, SUMMARY
from kbert.claim import unfinished
from kbert.engine.backend import engine
from kbert.engine.cluster import VARIABLE, cluster
from kbert.errors import DataError, TrainingError
from kbert.files import locked, read_object, remove_folder, replacing_folder, write_json
from kbert.finetuning.best_epoch import rank
from kbert.finetuning.learning_rate import with_learning_rate
from kbert.finetuning.output import RUNS, START, check_output, finish
from kbert.finetuning.rows import FinetuningRows, TrainFiles, names_of, read_rows
from kbert.finetuning.run import (
    checked_metric,
    command_of,
    digest_of_start,
    finetune_on,
    has_failed,
    load_start,
)
from kbert.finetuning.settings import WITHOUT_EFFECT, EpochChoice, FinetuningSettings, Grid
from kbert.finetuning.training import Plan
from kbert.settings import option_name
from kbert.tasks.base import Task


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
    train_path: TrainFiles,
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

    Of two runs with the same metric the one with the lower loss is the better.
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
    if cluster().count > 1:
        raise DataError(
            f"Several runs do not need {VARIABLE}: give each machine other runs, without it."
        )
    choice = EpochChoice(checked_metric(task, metric), patience)
    output = check_output(output, checkpoint, overwrite or _is_report(output))
    with locked(output):
        start = load_start(checkpoint)
        rows = read_rows(task, start, train_path, seed=settings.seed, **which_rows)
        if not rows.validation:
            raise DataError(
                "Runs are compared on held-out rows: expected a validation file or share."
            )
        request = {
            "task": {"name": task.name, **task.to_json()},
            "from": pinned(checkpoint),
            "train": ", ".join(names_of(train_path)),
            **{name: value if value is None else str(value) for name, value in which_rows.items()},
            **vars(choice),
            "from_random": from_random,
            **_common_settings(settings, changes),
            "rows_drawn_by": settings.seed,
            # A file may hold other rows than in the call before.
            "digest of the rows": rows.digest(),
            START: digest_of_start(start, settings, from_random),
        }
        request = json.loads(json.dumps(request))  # As it is read again: with lists for tuples.
        _claim_runs(output, request, overwrite)
        start_of = pinned(checkpoint), read_source(checkpoint)
        plan = Plan(*start_of, choice, from_random, silent=not verbose)
        command = _command(rows, output, settings, changes, plan)
        for name, change in changes.items():
            folder = unfinished(output) / RUNS / name
            if not (folder / SUMMARY).exists():
                _run(rows, start, folder, dataclasses.replace(settings, **change), plan, command)
            _drop_but_best(output, choice.metric)
        return _finish(output, request, rows, choice.metric)


def _run(
    rows: FinetuningRows,
    start: Checkpoint,
    folder: pathlib.Path,
    settings: FinetuningSettings,
    plan: Plan,
    command: str,
) -> None:
    """One run of those that the command makes. Its folder is there when it is done."""
    settings = with_learning_rate(settings, start.config, rows.task)
    try:
        with engine().gradients_forgotten():
            finetune_on(rows, start, folder, settings, plan, command)
    except TrainingError as error:
        failure = {"error": str(error), **settings.to_json(), "scores": {}}
        finish(folder, failure, kept=False)


def _command(
    rows: FinetuningRows,
    output: pathlib.Path,
    settings: FinetuningSettings,
    changes: Mapping[str, dict],
    plan: Plan,
) -> str:
    """What makes all runs again, as no run by itself would have its rows; "" where none does."""
    cells = changes.values()
    values = {name: dict.fromkeys(own[name] for own in cells) for name in sorted(_varied(changes))}
    if set(values) == {"seed"}:
        settings = dataclasses.replace(settings, seed=min(values["seed"]))
        more = ["--seeds", str(len(changes))]
        return command_of(rows, output, settings, plan, more=more)
    if not set(values) <= {field.name for field in dataclasses.fields(Grid)}:
        return ""
    more = [word for n, own in values.items() for word in (option_name(n), *map(str, own))]
    # What is varied stands in the grid alone.
    unset = {name: getattr(FinetuningSettings, name) for name in values}
    return command_of(rows, output, dataclasses.replace(settings, **unset), plan, "sweep", more)


def _varied(changes: Mapping[str, dict]) -> set[str]:
    return {name for change in changes.values() for name in change}


def _common_settings(settings: FinetuningSettings, changes: Mapping[str, dict]) -> dict:
    """The settings that all runs have."""
    left_out, values = _varied(changes) | set(WITHOUT_EFFECT), dataclasses.asdict(settings)
    return {name: value for name, value in values.items() if name not in left_out}


def _is_report(folder: str | pathlib.Path) -> bool:
    return (pathlib.Path(folder) / REPORT).is_file()


def _claim_runs(output: pathlib.Path, request: dict, overwrite: bool) -> None:
    """Begin the runs, or go on with those that an interrupted or a finished call has done.

    Raises DataError for runs of another request; `overwrite` begins anew then.
    """
    work = unfinished(output)
    if work.exists() and overwrite and not _is_asked_for(work, request):
        remove_folder(work)
    if work.exists():
        _check_request(work, request)
        return
    # Whole or not at all: a folder without what was asked for would be another call's.
    with replacing_folder(work) as folder:
        if not overwrite and _is_report(output):
            _check_request(output, request)
            # Without the best run's checkpoint, which stays in the output until there is a better.
            shutil.copytree(output / RUNS, folder / RUNS)
        write_json(folder / REPORT, {"request": request})


def _is_asked_for(folder: pathlib.Path, request: dict) -> bool:
    try:
        _check_request(folder, request)
    except (DataError, OSError):
        return False
    return True


def _check_request(folder: pathlib.Path, request: dict) -> None:
    """Raises DataError for a folder that does not hold runs of this request."""
    earlier = read_object(folder / REPORT).get("request")
    if not isinstance(earlier, dict):
        raise DataError(f"{folder / REPORT} does not say what runs these are.")
    # Of before it was written, the start is taken to be the same.
    earlier = {START: request[START], **earlier}
    names = [name for name in earlier | request if name not in WITHOUT_EFFECT]
    other = [name for name in names if earlier.get(name) != request.get(name)]
    if other:
        raise DataError(
            f"{folder} holds runs with another {', '.join(other)}. "
            "Choose another output, or --overwrite it."
        )


def _found(output: pathlib.Path) -> dict[str, dict]:
    """Name of a run that is done -> its finetune.json."""
    files = sorted((unfinished(output) / RUNS).glob(f"*/{SUMMARY}"))
    return {file.parent.name: read_object(file) for file in files}


def _best(found: Mapping[str, dict], metric: str) -> str | None:
    scored = [name for name in found if found[name]["scores"]]
    return max(scored, key=lambda name: rank(found[name]["scores"], metric), default=None)


def _drop_but_best(output: pathlib.Path, metric: str) -> None:
    """Keep the checkpoint of the best run so far alone."""
    found = _found(output)
    for name in set(found) - {_best(found, metric)}:
        for file in FILES:
            (unfinished(output) / RUNS / name / file).unlink(missing_ok=True)


def _finish(output: pathlib.Path, request: dict, rows: FinetuningRows, metric: str) -> dict:
    """Put what all runs have made in the place of the output; returns what runs.json holds."""
    work, found = unfinished(output), _found(output)
    best = _best(found, metric)
    if best is None:
        raise TrainingError(f"None of {len(found)} runs has a score; see {work / RUNS}.")
    report = {"request": request, "metric": metric, "best": best, **_statistics(found, rows)}
    own = work / RUNS / best
    with replacing_folder(output) as folder:
        # The best of an earlier call has its checkpoint in the output only.
        copy(own if (own / FILES[0]).is_file() else output, folder)
        ignored = shutil.ignore_patterns(*FILES, SOURCE, unfinished(pathlib.Path("*")).name)
        shutil.copytree(work / RUNS, folder / RUNS, ignore=ignored)
        write_json(folder / SUMMARY, found[best])
        write_json(folder / REPORT, report)
    remove_folder(work)
    return report


def _statistics(found: Mapping[str, dict], rows: FinetuningRows) -> dict:
    """What runs.json says of the runs together."""
    names = rows.task.metric_names
    shown = {field.name for field in dataclasses.fields(FinetuningSettings)}
    shown |= {"best_epoch", "seconds", "error"}
    runs = {}
    for name, summary in found.items():
        scores = {key: summary["scores"][key] for key in names if key in summary["scores"]}
        values = {key: summary[key] for key in summary if key in shown}
        runs[name] = {**values, "failed": has_failed(scores, rows), "scores": scores}
    columns = {
        key: [run["scores"][key] for run in runs.values() if key in run["scores"]] for key in names
    }
    return {
        "trivial_score": rows.trivial_score(),
        "failed": sum(run["failed"] for run in runs.values()),
        "mean": {key: statistics.fmean(column) for key, column in columns.items() if column},
        "standard_deviation": {
            # Not `statistics.stdev`, which knows no NaN.
            key: float(np.std(column, ddof=1)) if len(column) > 1 else None
            for key, column in columns.items()
        },
        "runs": runs,
    }
