"""How long a grid takes: from its cells that are done, or from a short run of each kind."""

import dataclasses
import itertools
import math
import pathlib
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from kbert.corpus.workers.pool import usable_cores
from kbert.files import read_object, write_json
from kbert.laboratory.cells import Cell, Chain
from kbert.laboratory.grid import Finetuning, Judging, Pretraining
from kbert.laboratory.minimal_pairs import read_pairs
from kbert.laboratory.running import run_cell
from kbert.metrics.layout import aligned

# Steps of a run that is measured, after the first, which compiles.
_STEPS = 8
# Of a judgement that is measured.
_PAIRS = 100
_FILE, _PROBE = "times.json", "probe-"


def measured(chains: Sequence[Chain], output: pathlib.Path) -> dict[str, float]:
    """Seconds of every kind of cell, by `Cell.shape`.

    Of the cells that are done where there is one of the kind, otherwise of a run of a few steps,
    whose time OUTPUT/times.json keeps. Such a run raises what a whole one would.
    """
    for left in output.glob(f"{_PROBE}*"):  # By a call that was killed.
        shutil.rmtree(left)
    file = output / _FILE
    known = read_object(file) if file.is_file() else {}
    done = _times_of_done(chains, output)
    with tempfile.TemporaryDirectory(dir=output, prefix=_PROBE) as folder:
        for chain in chains:
            for cell in chain.cells:
                if cell.shape not in known | done:
                    known[cell.shape] = _probe(cell, pathlib.Path(folder))
                    write_json(file, known)
    return known | done


def format_plan(
    chains: Sequence[Chain], times: Mapping[str, float], output: pathlib.Path, workers: int
) -> str:
    """The cells by variant, how many are done, and the time of the others, for a person."""
    tasks = list(chains[0].tasks)
    rows = [["variant", "pre-training", *tasks, "cells", "done", "minutes"]]
    for variant in dict.fromkeys(chain.variant for chain in chains):
        own = [chain for chain in chains if chain.variant == variant]
        columns = [_minutes(own[0].pretrainings, times)]
        columns += [_minutes([own[0].tasks[task]], times) for task in tasks]
        cells = distinct(own)
        waiting = [cell for cell in cells if cell.result(output) is None]
        counts = [len(cells), len(cells) - len(waiting), _minutes(waiting, times) or "0.0"]
        rows.append([variant, *columns, *counts])
    # More workers than cores share them.
    hours = seconds_left(chains, times, output) / 3600 / min(workers, usable_cores())
    return (
        f"{aligned(rows)}\n\nMinutes of one seed, and in the last column of all that wait. "
        f"About {hours:.1f} hours are left with {workers} at a time."
        + (" Measured one at a time: several may each be slower." if workers > 1 else "")
    )


def distinct(chains: Iterable[Chain]) -> list[Cell]:
    """The cells of chains, each once: variants may share them."""
    return list({cell.key: cell for chain in chains for cell in chain.cells}.values())


def seconds_left(
    chains: Iterable[Chain], times: Mapping[str, float], output: pathlib.Path
) -> float:
    """Of the cells that wait."""
    return sum(times[c.shape] for c in distinct(chains) if c.result(output) is None)


def minutes_of(chains: Sequence[Chain], output: pathlib.Path) -> dict[str, float]:
    """Of one seed of each variant whose cells are done."""
    times = _times_of_done(chains, output)
    first = {chain.variant: chain for chain in reversed(chains)}
    return {
        variant: sum(times[cell.shape] for cell in chain.cells) / 60
        for variant, chain in first.items()
        if all(cell.shape in times for cell in chain.cells)
    }


def _minutes(cells: Sequence[Cell | None], times: Mapping[str, float]) -> str:
    found = [times[cell.shape] / 60 for cell in cells if cell is not None]
    return f"{sum(found):.1f}" if found else ""


def _times_of_done(chains: Sequence[Chain], output: pathlib.Path) -> dict[str, float]:
    times: dict[str, list[float]] = {}
    for cell in distinct(chains):
        result = cell.result(output)
        if result is not None and result["error"] is None:
            # A run that went on where it stopped has measured its last part.
            steps, first = result.get("steps", 1), result.get("first_step", 0)
            if first < steps:
                scale = steps / (steps - first)
                times.setdefault(cell.shape, []).append(result["seconds"] * scale)
    return {shape: statistics.median(found) for shape, found in times.items()}


def _probe(cell: Cell, folder: pathlib.Path) -> float:
    """Seconds of a cell, by a short run of it in a folder for such runs."""
    *starts, short = _short(cell).with_starts()
    for start in starts:
        if start.result(folder) is None:
            run_cell(start, folder)
    began = time.monotonic()
    result = run_cell(short, folder)
    seconds = time.monotonic() - began
    if result["error"] is not None:  # A variant that diverges has a time, too.
        return seconds
    if isinstance(cell.what, Judging):
        pairs = len(read_pairs(cell.what.pairs, cell.what.settings.limit))
        return seconds * max(1.0, pairs / result["test_rows"])
    step = _seconds_a_step(short, folder)
    rest = max(seconds - result["steps"] * step, 0.0)
    if isinstance(cell.what, Pretraining):
        return rest + step * _steps_of_first_shape(cell.what)
    own = rest + step * _finetuning_steps(cell.what, result) + _later_scores(cell.what, result)
    return own * cell.what.members


def _short(cell: Cell) -> Cell:
    """The same with a few steps, from a start with a few, under a name of its own."""
    what, inputs, start = cell.what, cell.inputs | {"probe": True}, cell.start
    if isinstance(start, Cell):
        start = _short(start)
    if isinstance(what, Pretraining):
        settings = dataclasses.replace(what.settings, num_steps=_STEPS, warmup_steps=1, then="")
        schedule = dataclasses.replace(what.schedule, log_every=1)
        what = what._replace(settings=settings, schedule=schedule)
    elif isinstance(what, Finetuning):
        steps = min(_STEPS, what.settings.max_steps or _STEPS)
        settings = dataclasses.replace(what.settings, epochs=1, max_steps=steps, log_every=1)
        what = what._replace(settings=settings, members=1)
    else:
        limit = min(_PAIRS, what.settings.limit or _PAIRS)
        what = what._replace(settings=dataclasses.replace(what.settings, limit=limit))
    return cell._replace(what=what, inputs=inputs, start=start)


def _seconds_a_step(short: Cell, folder: pathlib.Path) -> float:
    """The median time between two points of the curve of a short run, which has one a step."""
    events = EventAccumulator(str(short.logs(folder)), size_guidance={"tensors": 0})
    events.Reload()
    times = [event.wall_time for event in events.Tensors("train/loss")]
    between = [after - before for before, after in itertools.pairwise(times)]
    return statistics.median(between) if between else 0.0


def _steps_of_first_shape(what: Pretraining) -> float:
    """The steps of a run, those of other shapes counted by their tokens."""
    phases = what.settings.phases()
    tokens = [phase.batch_size * phase.sequence_length for phase in phases]
    steps = [phase.end_step - phase.first_step for phase in phases]
    return sum(n * own for n, own in zip(steps, tokens, strict=True)) / tokens[0]


def _finetuning_steps(what: Finetuning, result: Mapping) -> int:
    rows = result["train_rows"] * (1 + what.settings.augment)
    steps = what.settings.epochs * math.ceil(rows / what.settings.batch_size)
    return min(steps, what.settings.max_steps or steps)


def _later_scores(what: Finetuning, result: Mapping) -> float:
    """The held-out rows are scored once an epoch; the short run has done it once."""
    share = result["validation_rows"] / result["test_rows"]
    return (what.settings.epochs - 1) * share * result["scoring_seconds"]
