"""What a grid has found: tables of scores and paired differences, beside the paper's figures."""

import math
import pathlib
import statistics
from collections.abc import Mapping, Sequence

import numpy as np

from kbert.errors import DataError
from kbert.figures import can_draw, drawing, save_picture
from kbert.files import replacing, write_json
from kbert.laboratory.cells import Chain
from kbert.laboratory.grid import Finetuning, HeldOut, Judging, Pretraining, Recipe, Variant
from kbert.laboratory.statistics import FEWEST, difference
from kbert.pretraining.objectives import OBJECTIVES

FILE, PAGE, PLOT = "report.json", "report.md", "differences.png"


def report_of(recipe: Recipe, chains: Sequence[Chain], output: pathlib.Path) -> dict:
    """What the cells that are done say, ready for JSON; nothing that depends on the clock."""
    results = {
        (chain.variant, task, chain.seed): _result(chain, task, output)
        for chain in chains
        for task in chain.tasks
    }
    runs = {name: [] for name in recipe.variants}
    for chain in chains:
        found = [cell.result(output) for cell in chain.pretrainings]
        runs[chain.variant] += [result for result in found if result is not None]
    return {
        "title": recipe.title,
        "source": recipe.source,
        "baseline": recipe.baseline,
        "seeds": list(recipe.seeds),
        "search": None if recipe.found is None else recipe.found._asdict(),
        "cells": len(results),
        "cells_done": sum(result is not None for result in results.values()),
        "variants": {name: _variant(recipe.variants[name], runs[name]) for name in runs},
        "tasks": {task: _task(recipe, task, results) for task in recipe.tasks},
    }


def write_report(
    report: Mapping, output: pathlib.Path, minutes: Mapping[str, float], plots: bool = False
) -> None:
    """Write report.json and report.md, and the plot, where matplotlib is installed."""
    plotted = plots and _plot(report, output / PLOT)
    write_json(output / FILE, report)
    with replacing(output / PAGE) as file:
        page = format_report(report, minutes) + (f"\n![Differences]({PLOT})\n" if plotted else "")
        file.write_text(page, encoding="utf-8")


def format_report(report: Mapping, minutes: Mapping[str, float]) -> str:
    """The report as a page of Markdown, with the minutes that one seed of each variant took."""
    source = f" Figures of the paper: {report['source']}." if report["source"] else ""
    seeds = ", ".join(map(str, report["seeds"]))
    lines = [
        f"# {report['title']}",
        "",
        f"{report['cells_done']} of {report['cells']} scores are there; seeds {seeds}.{source} "
        f"Differences are to {report['baseline']}, of the same seeds, from {FEWEST} on with a 95 % "
        "interval over seeds and test rows; of scores on held-out text, over seeds alone. "
        "*Detectable* is the smallest true difference that "
        "would be found in 80 % of such experiments. *Verdict* compares the sign that was expected "
        "with the interval: it is open where that holds 0 or is missing. Of the intervals, 5 % "
        "miss the truth by chance. Minutes are of one seed with all its tasks.",
        "",
        *_table(_budget(report, minutes)),
        *_search(report["search"]),
        *_overview(report),
    ]
    for task, found in report["tasks"].items():
        lines += ["", f"## {task}", "", _introduction(found), "", *_table(_scores(found))]
        if found["phenomena"]:
            lines += ["", *_table(_phenomena(found["phenomena"]))]
    return "\n".join(lines) + "\n"


def _search(found: Mapping | None) -> list[str]:
    if found is None:
        return []
    rows = [["placement", "held-out score"], *([code, f"{v:.3f}"] for code, v in found["best"])]
    sentence = (
        f"{found['trials']} placements, of which {found['stopped']} were stopped before the end; "
        "the best of the others, by a seed that is none of those above. The first was chosen by "
        "the same held-out text as is scored below, which flatters it a little:"
    )
    return ["", "## Search", "", sentence, "", *_table(rows)]


def _overview(report: Mapping) -> list[str]:
    """Of several tasks: the baseline's scores, and how far the others are from them."""
    if len(report["tasks"]) < 2:
        return []
    rows = [["variant", *report["tasks"]]]
    for name in report["variants"]:
        row = []
        for found in report["tasks"].values():
            own = found["variants"][name]
            if name == report["baseline"]:
                row.append(_score(own, found))
                continue
            compared = own["difference"]
            text = _difference(compared, found)[0] + _mark(own)
            seen = compared is not None and compared["sign"] != "0"
            row.append(f"**{text}**" if seen else text)
        rows.append([name, *row])
    sentence = (
        f"Scores of {report['baseline']}, and differences to them, bold where the interval does "
        "not hold 0, ¹ where they are of other rows:"
    )
    return ["", "## All tasks", "", sentence, "", *_table(rows)]


def _result(chain: Chain, task: str, output: pathlib.Path) -> dict | None:
    """Of a task; for a score of the pre-training run, the run's own."""
    cell = chain.tasks[task] or chain.pretraining
    return None if cell is None else cell.result(output)


def _variant(variant: Variant, runs: Sequence[Mapping]) -> dict:
    """What it took, over all its runs of pre-training."""
    # Two tasks that go on in the same way share a run.
    every = variant.stages()
    stages = [stage for at, stage in enumerate(every) if stage not in every[:at]]
    if not stages:
        return {"checkpoint": variant.start.name}
    return {
        "parameters": variant.config.num_parameters(),
        "steps": sum(stage.settings.num_steps for stage in stages),
        "positions": sum(
            (phase.end_step - phase.first_step) * phase.batch_size * phase.sequence_length
            for stage in stages
            for phase in stage.settings.phases()
        ),
        "runs": len(runs),
        "diverged": sum(run["error"] is not None for run in runs),
    }


def _task(recipe: Recipe, task: str, results: Mapping) -> dict:
    """Scores and differences of one task."""
    what = recipe.variants[recipe.baseline].tasks[task]
    metric, factor = _metric(what)
    others = _on_other_rows(recipe, metric) if isinstance(what, HeldOut) else set()
    own = {
        name: {seed: results[name, task, seed] for seed in recipe.seeds} for name in recipe.variants
    }
    done = [result for found in own.values() for result in found.values() if result is not None]
    baseline = own[recipe.baseline]
    figures, signs = recipe.paper.get(task, {}), recipe.expected.get(task, {})
    return {
        "metric": metric,
        "factor": factor,
        "test_rows": next((r["test_rows"] for r in done if "test_rows" in r), None),
        "trivial": _trivial(what, done),
        "phenomena": _by_phenomenon(own),
        "variants": {
            name: _compared(found, baseline, metric)
            | {"failed": sum(_has_failed(what, result, metric) for result in found.values())}
            | {"other_rows": name in others}
            | _expectation(name, recipe.baseline, figures, signs)
            for name, found in own.items()
        },
    }


def _metric(what: Finetuning | Judging | HeldOut) -> tuple[str, int]:
    """A task's metric, and what makes it a percentage: 1 if it is one, or if it is no share."""
    if isinstance(what, Judging):
        return "accuracy", 100
    if isinstance(what, HeldOut):
        return what.metric, _factor(what.metric)
    return what.choice.metric, _factor(what.choice.metric, what.task.scores_in_percent)


def _factor(metric: str, in_percent: bool = False) -> int:
    return 1 if in_percent or metric.endswith(("loss", "perplexity")) else 100


def _compared(found: Mapping, baseline: Mapping, metric: str) -> dict:
    scores = {seed: result["scores"][metric] for seed, result in _scored(found, metric).items()}
    values = list(scores.values())
    both = [seed for seed in scores if seed in _scored(baseline, metric)]
    compared = None
    if both and found is not baseline:
        ours, theirs = ([part[seed] for seed in both] for part in (found, baseline))
        compared = difference(*_arrays(ours, metric), *_arrays(theirs, metric))
    return {
        "scores": {str(seed): score for seed, score in scores.items()},
        "mean": statistics.fmean(values) if values else None,
        "standard_deviation": float(np.std(values, ddof=1)) if len(values) > 1 else None,
        "difference": None if compared is None else compared._asdict() | {"sign": compared.sign},
    }


def _trivial(what: Finetuning | Judging | HeldOut, done: Sequence[Mapping]) -> dict | None:
    """What the best answer without the text scores: by the task's first metric, not any other."""
    score = next((result["trivial_score"] for result in done if "trivial_score" in result), None)
    if score is None:
        return None
    metric = what.task.metric_names[0]
    factor = _factor(metric, what.task.scores_in_percent)
    return {"metric": metric, "factor": factor, "score": score}


def _has_failed(what: Finetuning | Judging | HeldOut, result: Mapping | None, metric: str) -> bool:
    """Whether a run has an error or no finite score, or answers no better than without the text."""
    if result is None:
        return False
    if result["error"] is not None or not math.isfinite(result["scores"][metric]):
        return True
    least = result.get("trivial_score")
    return least is not None and what.task.has_failed(result["scores"], least)


def _on_other_rows(recipe: Recipe, metric: str) -> set[str]:
    """The variants whose held-out score is not the baseline's of the same rows."""
    rows = {
        name: _held_out_rows(variant.start, metric)
        for name, variant in recipe.variants.items()
        if isinstance(variant.start, Pretraining)
    }
    return {name for name, own in rows.items() if own != rows.get(recipe.baseline)}


def _held_out_rows(what: Pretraining, metric: str) -> tuple:
    last = what.settings.phases()[-1]
    examples = type(OBJECTIVES[what.settings.objective].examples)
    count = what.schedule.validation_batches * last.batch_size
    # The loss is the objective's: of other pieces of the same rows, and of what a teacher says.
    names = ("objective", "teacher", "teacher_share", "teacher_temperature", "hidden_share")
    of_objective = [getattr(what.settings, name) for name in names] if metric == "loss" else None
    return what.store, examples, last.sequence_length, count, of_objective


def _arrays(results: Sequence[Mapping], metric: str) -> tuple[np.ndarray, np.ndarray]:
    """Scores (seeds,), and on drawn rows (seeds, resamples)."""
    scores = [result["scores"][metric] for result in results]
    drawn = [result.get("drawn", [score]) for result, score in zip(results, scores, strict=True)]
    return np.array(scores), np.array(drawn)


def _scored(found: Mapping, metric: str) -> dict:
    """Seed -> result, of those that have a score. Raises `DataError` where the metric is none."""
    ended = {seed: result for seed, result in found.items() if result and not result["error"]}
    for result in ended.values():
        if metric not in result["scores"]:
            names = ", ".join(result["scores"])
            raise DataError(f"Expected a metric of {names}. Received: {metric}.")
    # The perplexity of a run that has come apart is infinite.
    return {
        seed: result for seed, result in ended.items() if math.isfinite(result["scores"][metric])
    }


def _expectation(name: str, baseline: str, figures: Mapping, signs: Mapping) -> dict:
    """The paper's figure, its difference, and the expected sign: the paper's unless said."""
    figure, other = figures.get(name), figures.get(baseline)
    change = None if None in (figure, other) or name == baseline else figure - other
    expected = signs.get(name)
    if expected is None and change is not None:
        expected = "0" if change == 0 else "+" if change > 0 else "-"
    return {"paper": figure, "paper_difference": change, "expected": expected}


def _by_phenomenon(own: Mapping) -> dict:
    """Phenomenon -> variant -> mean accuracy."""
    found: dict[str, dict[str, float]] = {}
    for name, results in own.items():
        parts = [r["phenomena"] for r in results.values() if r is not None and "phenomena" in r]
        for phenomenon in parts[0] if parts else ():
            shares = [part[phenomenon]["accuracy"] for part in parts]
            found.setdefault(phenomenon, {})[name] = statistics.fmean(shares)
    return found


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    header, *others = rows
    return [f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *others)]


def _budget(report: Mapping, minutes: Mapping[str, float]) -> list[list[str]]:
    names = ("parameters", "steps", "positions", "runs", "diverged")
    rows = [["variant", "parameters", "steps", "tokens", "runs", "diverged", "minutes"]]
    for name, found in report["variants"].items():
        values = [f"{found[key]:,}" if key in found else "" for key in names]
        rows.append([name, *values, f"{minutes[name]:.1f}" if name in minutes else ""])
    return rows


def _introduction(found: Mapping) -> str:
    text = f"{found['metric']}{' in percent' if found['factor'] == 100 else ''}"
    if found["test_rows"] is not None:
        text += f", {found['test_rows']:,} test rows"
    if (trivial := found["trivial"]) is not None:
        score = _number(trivial["score"], trivial)
        text += f"; without the text {trivial['metric']} is {score}, and *failed* is no better"
    if any(own["other_rows"] for own in found["variants"].values()):
        text += "; ¹ on other rows, or by another loss"
    return text + "."


def _scores(found: Mapping) -> list[list[str]]:
    paper = any(own["paper"] is not None for own in found["variants"].values())
    rows = [
        ["variant", "score", "difference", "detectable", *(["paper", "its difference"] * paper)]
    ]
    rows[0] += ["expected", "verdict"]
    for name, own in found["variants"].items():
        row = [name, _score(own, found), *_difference(own["difference"], found)]
        if paper:
            row.append("" if own["paper"] is None else f"{own['paper']:g}")
            change = own["paper_difference"]
            row.append("" if change is None else f"{change:+.3g}")
        rows.append([*row, own["expected"] or "", verdict(own)])
    return rows


def _difference(compared: Mapping | None, found: Mapping) -> tuple[str, str]:
    """With its interval; and what is detectable."""
    if compared is None:
        return "", ""
    names = ("mean",) if compared["low"] is None else ("mean", "low", "high")
    mean, *ends = (_number(compared[name], found, "+") for name in names)
    seen = compared["detectable"]
    interval = f" [{', '.join(ends)}]" if ends else ""
    return mean + interval, "" if seen is None else _number(seen, found)


def verdict(own: Mapping) -> str:
    """Whether what was found has the sign that was expected."""
    compared, expected = own["difference"], own["expected"]
    if compared is None or expected is None:
        return ""
    if compared["sign"] == "0":
        return "open"
    return "agrees" if compared["sign"] == expected else "contradicts"


def _score(own: Mapping, found: Mapping) -> str:
    if own["mean"] is None:
        return "all failed" if own["failed"] else ""
    deviation = own["standard_deviation"]
    spread = "" if deviation is None else f" ± {_number(deviation, found)}"
    failed = f", {own['failed']} failed" if own["failed"] else ""
    return f"{_number(own['mean'], found)}{spread} ({len(own['scores'])}{failed}){_mark(own)}"


def _mark(own: Mapping) -> str:
    return " ¹" if own["other_rows"] else ""


def _number(value: float, found: Mapping, sign: str = "") -> str:
    """As the task's table shows it; `sign` "+" writes it always."""
    digits = 3 if found["metric"].endswith("loss") else 1
    return f"{value * found['factor']:{sign}.{digits}f}"


def _phenomena(phenomena: Mapping) -> list[list[str]]:
    variants = list(next(iter(phenomena.values())))
    rows = [["accuracy in percent", *variants]]
    for name, shares in phenomena.items():
        rows.append([name, *(f"{100 * shares[v]:.1f}" if v in shares else "" for v in variants)])
    return rows


def _plot(report: Mapping, path: pathlib.Path) -> bool:
    """Differences with their intervals, and the paper's. Returns whether there is a plot."""
    names = [name for name in report["variants"] if name != report["baseline"]]
    tasks = report["tasks"]
    if not names or not can_draw():
        return False
    with drawing(1.5 + 3 * len(tasks), 1.2 + 0.4 * len(names)) as figure:
        axes = figure.subplots(1, len(tasks), sharey=True, squeeze=False)[0]
        for (task, found), axis in zip(tasks.items(), axes, strict=True):
            _plot_task(axis, found, names)
            axis.set_title(task)
        axes[0].invert_yaxis()
        save_picture(path, figure)
    return True


def _plot_task(axis, found: Mapping, names: Sequence[str]) -> None:
    factor = found["factor"]
    for place, name in enumerate(names):
        own = found["variants"][name]
        if (compared := own["difference"]) is not None:
            if compared["low"] is not None:
                ends = [compared["low"] * factor, compared["high"] * factor]
                axis.plot(ends, [place, place], color="C0")
            axis.plot(compared["mean"] * factor, place, "o", color="C0")
        if own["paper_difference"] is not None:
            axis.plot(own["paper_difference"], place, "x", color="C1")
    axis.axvline(0, color="grey", linewidth=0.8)
    axis.set_xlabel(found["metric"])
    axis.set_yticks(range(len(names)), names)
