"""README.md of a model on a hub: what the folder of a run says of it."""

import os
import pathlib
from collections.abc import Iterator, Mapping

from kbert.checkpoints.directory import Checkpoint
from kbert.checkpoints.hubs import hub_repository, read_source
from kbert.files import read_object
from kbert.models import objective_of

# Of fine-tuning: a run's settings and scores, and those of several runs together.
SUMMARY, REPORT = "finetune.json", "runs.json"
# Of pre-training.
_PRETRAINING = "run.json"
_PIPELINES = {
    "classification": "text-classification",
    "regression": "text-classification",
    "multilabel": "text-classification",
    "tagging": "token-classification",
    "qa": "question-answering",
    "choice": "multiple-choice",
}


def model_card(
    source: str | os.PathLike, title: str, checkpoint: Checkpoint, makes_vectors: bool
) -> str:
    """README.md for a model that was read from the folder `source`, as text.

    Args:
        title: the model's name.
        makes_vectors: whether the folder says how a text's vector is made.
    """
    source = pathlib.Path(source)
    summary, report = _read(source / SUMMARY), _read(source / REPORT)
    config = checkpoint.config
    what = "An encoder" if checkpoint.task is None else f"A model for {checkpoint.task.name}"
    if checkpoint.task is None and objective_of(checkpoint.model) is not None:
        what = f"A pre-trained model ({objective_of(checkpoint.model)})"
    lines = [
        _header(read_source(source), summary, checkpoint, makes_vectors),
        f"# {title}\n",
        f"{what}: BERT of {config.num_layers} layers, {config.hidden_dim} wide, with "
        f"{config.vocabulary_size:,} pieces and {checkpoint.model.count_params():,} parameters. "
        "Made with kbert.\n",
    ]
    lines += _scores(summary, report)
    lines += _data(summary)
    if summary.get("command"):
        lines += ["## Command\n", f"```\n{summary['command']}\n```\n"]
    settings = summary or _read(source / _PRETRAINING).get("settings", {})
    lines += _table("Settings", ("setting", "value"), _settings(settings))
    return "\n".join(lines)


def _header(source: Mapping, summary: Mapping, checkpoint: Checkpoint, makes_vectors: bool) -> str:
    """What a hub's page shows beside the text."""
    from huggingface_hub import ModelCardData

    kind = "feature-extraction" if objective_of(checkpoint.model) is None else "fill-mask"
    if checkpoint.task is not None:
        kind = _PIPELINES.get(checkpoint.task.name)
    elif makes_vectors:
        kind = "sentence-similarity"
    data = ModelCardData(
        license=source.get("licence"),
        base_model=hub_repository(source.get("from") or summary.get("from") or ""),
        library_name="sentence-transformers" if makes_vectors else "transformers",
        pipeline_tag=kind,
        tags=["bert", "kbert"],
    )
    return f"---\n{data.to_yaml()}\n---\n"


def _scores(summary: Mapping, report: Mapping) -> Iterator[str]:
    """The kept epoch's, of the kept run and, where there are several, of all."""
    single = {n: value for n, value in summary.get("scores", {}).items() if _is_number(value)}
    rows = [(name, f"{value:.4f}") for name, value in single.items()]
    columns = ("score", f"seed {summary.get('seed')}")
    runs = report.get("runs", {})
    if len(runs) > 1:
        deviations = {n: d for n, d in report["standard_deviation"].items() if d is not None}
        columns += (f"mean and standard deviation of {len(runs)} runs ({', '.join(runs)})",)
        means = {
            n: f"{mean:.4f}" + (f" ± {deviations[n]:.4f}" if n in deviations else "")
            for n, mean in report["mean"].items()
        }
        rows = [(*row, means.get(row[0], "")) for row in rows]
    yield from _table("Scores on the held-out rows", columns, rows)


def _data(summary: Mapping) -> Iterator[str]:
    rows = [(name, summary[name]) for name in ("train", "validation") if summary.get(name)]
    rows += [(f"{name} rows", summary.get(f"{name}_rows")) for name, _ in rows]
    yield from _table("Data", ("what", "of the run"), rows)


def _settings(values: Mapping) -> list[tuple]:
    """Of a run's record what was chosen; the rest is what came of it."""
    found = ("train", "validation", "seconds", "steps", "first_step", "command", "failed")
    return [
        (name, value)
        for name, value in values.items()
        if isinstance(value, str | int | float) and not name.startswith(found)
    ]


def _table(title: str, columns: tuple, rows: list[tuple]) -> Iterator[str]:
    if not rows:
        return
    yield f"## {title}\n"
    for row in (columns, ("---",) * len(columns), *rows):
        cells = (" ".join(str(cell).replace("|", r"\|").split()) for cell in row)
        yield f"| {' | '.join(cells)} |"
    yield ""


def _is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _read(file: pathlib.Path) -> dict:
    return read_object(file) if file.is_file() else {}
