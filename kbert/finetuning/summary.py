"""What a run, several, or a sweep came to, as lines for a person."""

from collections.abc import Mapping, Sequence

from kbert.finetuning.best_epoch import rank
from kbert.tasks import TASKS
from kbert.tasks.readers.bad_rows import report_lines


def summary_lines(summary: Mapping) -> list[str]:
    """Of what `finetune` returns."""
    lines = []
    for part in ("train", "validation"):
        counts = "".join(f"; {name}: {n}" for name, n in summary[f"{part}_counts"].items())
        rows, cut = summary[f"{part}_rows"], summary[f"{part}_rows_cut"]
        lines.append(f"{part}: {rows} rows, {cut} of them cut{counts}")
    lines += report_lines(summary)
    if summary["output_layer"] == "of the checkpoint":
        lines.append(
            f"the output layer of {summary['from']} was trained further: same task, same labels"
        )
    scores = _shown(summary["task"], summary["scores"]) or "not scored"
    lines.append(f"epoch {summary['best_epoch']} of {summary['epochs']} kept: {scores}")
    rate = summary["learning_rate"]
    lines.append(f"{summary['steps']} steps at a rate of {rate:g} in {summary['seconds']} s")
    if summary["failed"]:
        # The first that it has: of a similarity, some come of pairs with scores, some of others.
        metric = next(iter(_single(summary["task"], summary["scores"])))
        trivial = summary["trivial_score"]
        lines.append(
            f"No better than an answer that ignores the text ({metric} {trivial:.4f}). Try another "
            "--learning-rate, more --epochs or more rows."
        )
    return lines


def runs_lines(report: Mapping) -> list[str]:
    """Of what `finetune_several` returns: a line a run, their mean and deviation."""
    task, runs, trivial = _task(report), report["runs"], report["trivial_score"]
    lines = []
    for name, found in runs.items():
        scores = _shown(task, found["scores"]) or found["error"]
        lines.append(f"{name:<10}{scores}{'  (failed)' if found['failed'] else ''}")
    lines.append(f"{'mean':<10}{_shown(task, report['mean'])}")
    if len(runs) > 1:
        lines.append(f"{'deviation':<10}{_shown(task, report['standard_deviation'])}")
    failed = report["failed"]
    lines.append(f"{failed} of {len(runs)} failed: no better than {trivial:.4f}, without the text")
    return lines


def sweep_lines(report: Mapping, varied: Sequence[str]) -> list[str]:
    """Of the same as a table, the best run first; `varied` are the settings that differ."""
    metric = report["metric"]
    others = [name for name in report["mean"] if name != metric]
    lines = ["  ".join(f"{name:>13}" for name in (*varied, "best_epoch", metric, *others))]
    runs = report["runs"].values()
    for found in sorted(runs, key=lambda found: rank(found["scores"], metric), reverse=True):
        cells = [*(found[name] for name in varied), found.get("best_epoch", "-")]
        cells += [f"{found['scores'].get(name, float('nan')):.4f}" for name in (metric, *others)]
        failed = "failed" if found["failed"] else ""
        lines.append(f"{'  '.join(f'{cell:>13}' for cell in cells)} {failed}".rstrip())
    return lines


def best_line(report: Mapping, output: str) -> str:
    """Which run was kept, and where."""
    return f"best by {report['metric']}: {report['best']}; wrote {output}"


def _task(report: Mapping) -> str:
    return report["request"]["task"]["name"]


def _shown(task: str, scores: Mapping) -> str:
    """The scores that are single numbers, in a line."""
    return ", ".join(f"{name} {score:.4f}" for name, score in _single(task, scores).items())


def _single(task: str, scores: Mapping) -> dict[str, float]:
    names = [name for name in TASKS[task].metric_names if scores.get(name) is not None]
    return {name: scores[name] for name in names}
