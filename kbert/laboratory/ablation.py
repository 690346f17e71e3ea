"""Runs the grid of a recipe, and reports on it: what is not done yet, in any number of calls.

OUTPUT/report.md, report.json    written anew after every model
OUTPUT/differences.png           where matplotlib is installed
OUTPUT/cells/                    see cells.py
OUTPUT/search/                   see search.py
OUTPUT/times.json                see plan.py

A cell runs in this process, one after another; with several workers each of them is a process that
runs whole models, with its share of the cores. At the sizes that a laboratory of a few cores can
pay, one process after another would spend more on starting than a tiny run on training.
"""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Iterator, Sequence

from tqdm import tqdm

from kbert.corpus.workers.pool import Pool, usable_cores
from kbert.errors import DataError
from kbert.files import locked
from kbert.laboratory.cells import Chain, chains_of
from kbert.laboratory.grid import FOUND, Recipe
from kbert.laboratory.plan import distinct, format_plan, measured, minutes_of, seconds_left
from kbert.laboratory.recipe.file import read_recipe
from kbert.laboratory.recipe.rows import check_rows
from kbert.laboratory.report import report_of, write_report
from kbert.laboratory.running import run_chain
from kbert.laboratory.search import check_optuna, found, search, steps_left
from kbert.laboratory.worker import worker

_BAR = "{desc} {percentage:.0f}% {elapsed}<{remaining}{postfix}"


def ablate(
    recipe_path: str | os.PathLike,
    output: str | os.PathLike,
    *,
    workers: int = 1,
    baseline: str | None = None,
    plan_only: bool = False,
    verbose: int = 1,
) -> dict:
    """Run what a recipe asks for, or what of it is missing, and report.

    A cell of the grid whose inputs have not changed is not run again, whatever else the recipe
    says now. Stopped at any moment, a call with the same arguments goes on, within a run too.

    Args:
        recipe_path: see kbert/laboratory/recipe/file.py.
        output: a folder, new or of this function.
        workers: models that are trained at the same time.
        baseline: a variant that the report's differences are to, without the signs that the recipe
            expects of others to its own; None for the recipe's.
        plan_only: measure and print how long it takes, and do nothing.
        verbose: 0 is silent; otherwise the plan is printed, and a bar shown on a terminal.

    Returns what report.json holds.

    Raises `DataError` before any long work for a recipe that does not fit, for rows that cannot be
    learned from, and where another process writes the same output; `Stopped` where a signal did.
    """
    if workers < 1:
        raise DataError(f"Expected one worker at least. Received: {workers}.")
    # A run that goes on finds its paths as they were, however they are given now.
    output = pathlib.Path(output).resolve()
    recipe = read_recipe(recipe_path)
    if baseline is not None:
        _check_baseline(recipe, baseline)
    check_rows(recipe)
    with locked(output):
        _claim(output)
        if recipe.search is not None:
            recipe = _with_found(recipe, output, plan_only, verbose)
        if baseline is not None:
            recipe = _compared_with(recipe, baseline)
        chains = chains_of(recipe)
        times = measured(chains, output)
        if verbose:
            print(format_plan(chains, times, output, workers), flush=True)
        if not plan_only:
            _run(recipe, chains, times, output, workers, verbose)
        return report_of(recipe, chains, output)


def _with_found(recipe: Recipe, output: pathlib.Path, plan_only: bool, verbose: int) -> Recipe:
    """The recipe with the placement that its search has found, as one variant more.

    The search is run, or planned alone: then the variant is missing until it has been run.
    """
    what = recipe.search
    check_optuna()
    if verbose:
        # At the pace of the baseline: a placement makes little difference to it.
        baseline = next(c for c in chains_of(recipe) if c.variant == recipe.baseline)
        seconds = measured([baseline], output)[baseline.pretraining.shape]
        its, own = baseline.pretraining.what.settings, what.start.settings
        seconds *= steps_left(what, output) / its.num_steps
        seconds *= own.batch_size * own.sequence_length / (its.batch_size * its.sequence_length)
        print(
            f"The search: about {seconds / 3600:.1f} hours are left, of one process. Its placement "
            "is one variant more, which takes as long as the baseline.",
            flush=True,
        )
    if not plan_only:
        search(what, output, silent=not verbose)
    result = found(what, output)
    if result is None:
        return recipe
    baseline = recipe.variants[recipe.baseline]
    config = dataclasses.replace(baseline.start.config, norm_placement=result.best[0][0])
    winner = baseline._replace(start=baseline.start._replace(config=config))
    return recipe._replace(variants={**recipe.variants, FOUND: winner}, found=result)


def _check_baseline(recipe: Recipe, baseline: str) -> None:
    known = [*recipe.variants, *([FOUND] if recipe.search is not None else [])]
    if baseline not in known:
        raise DataError(f"Expected a baseline of {', '.join(known)}. Received: {baseline}.")


def _compared_with(recipe: Recipe, baseline: str) -> Recipe:
    """The recipe with another baseline, unless its search has not found it yet."""
    if baseline == recipe.baseline or baseline not in recipe.variants:
        return recipe
    return recipe._replace(baseline=baseline, expected={})


def _claim(output: pathlib.Path) -> None:
    if output.exists() and any(output.iterdir()) and not (output / "cells").is_dir():
        raise DataError(f"{output} holds what no ablation wrote. Choose another output.")
    (output / "cells").mkdir(parents=True, exist_ok=True)


def _run(recipe: Recipe, chains, times, output, workers, verbose) -> None:
    """Run the chains that are not done, and write the report after each."""
    waiting = [chain for chain in chains if any(c.result(output) is None for c in chain.cells)]
    total = seconds_left(chains, times, output)
    hidden = None if verbose else True  # None: where there is no terminal.
    with tqdm(total=total, desc="ablate", bar_format=_BAR, disable=hidden) as bar:
        for chain in _done(waiting, output, workers):
            _report(recipe, chains, output)
            bar.set_postfix_str(f"{chain.variant}, seed {chain.seed} done", refresh=False)
            bar.update(total - seconds_left(chains, times, output) - bar.n)
    _report(recipe, chains, output, plots=True)


def _report(recipe: Recipe, chains, output, plots: bool = False) -> None:
    report, minutes = report_of(recipe, chains, output), minutes_of(chains, output)
    write_report(report, output, minutes, plots)


def _done(chains: Sequence[Chain], output: pathlib.Path, workers: int) -> Iterator[Chain]:
    """Runs chains, and gives each when it is done."""
    if workers == 1:
        for chain in chains:
            run_chain(chain, output)
            yield chain
        return
    make = functools.partial(worker, output, max(1, usable_cores() // workers))
    for part in _apart(chains):
        with Pool(workers, make, processes=True) as pool:
            yield from pool.map_as_done((chain,) for chain in part)


def _apart(chains: Sequence[Chain]) -> list[list[Chain]]:
    """The chains in parts, to be run one after another: no two chains of a part share a cell,
    which two workers must not run at once."""
    parts: list[list[Chain]] = []
    part_of: dict[str, int] = {}  # The last one so far with this cell.
    for chain in chains:
        keys = {cell.key for cell in distinct([chain])}
        number = 1 + max((part_of[key] for key in keys if key in part_of), default=-1)
        part_of |= dict.fromkeys(keys, number)
        if number == len(parts):
            parts.append([])
        parts[number].append(chain)
    return parts
