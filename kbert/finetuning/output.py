"""Where a run works, and how its output comes to be: whole, at the end.

OUTPUT.unfinished/   run.json    what was asked for
                     steps/      the last two saves, from which the run goes on
                     best/       the best epoch's checkpoint so far, and best.json: its scores
                     logs/       for TensorBoard
OUTPUT/              at the end: that checkpoint, finetune.json, logs/, and source.json where it
                     began with a model of a hub

Until then OUTPUT is as it was: not there, or what an earlier run left.
"""

import pathlib
import shutil
from collections.abc import Mapping

from kbert.checkpoints.directory import FILES, Checkpoint, copy, write
from kbert.checkpoints.hubs import SOURCE
from kbert.checkpoints.model_card import REPORT, SUMMARY
from kbert.claim import claim, unfinished
from kbert.engine.workers import by_chief
from kbert.errors import DataError
from kbert.files import read_object, remove_folder, replacing_folder, write_json
from kbert.finetuning.best_epoch import Best

LOGS = "logs"
RUNS = "runs"  # Of several: see several_runs.py.
START = "digest of the start"
_OURS = {*FILES, SOURCE, SUMMARY, LOGS, RUNS, REPORT}
_BEST, _SCORES = "best", "best.json"


def check_output(
    output: str | pathlib.Path, checkpoint: str | pathlib.Path, overwrite: bool
) -> pathlib.Path:
    """Raises DataError for an output that would destroy something, before any work is done."""
    output = pathlib.Path(output)
    if output.resolve() == pathlib.Path(checkpoint).resolve():
        raise DataError(f"The output {output} is the checkpoint to start from.")
    if output.exists() and not output.is_dir():
        raise DataError(f"The output {output} is a file; expected a directory.")
    found = {path.name for path in output.iterdir()} if output.exists() else set()
    if found and not overwrite:
        raise DataError(f"The output {output} is not empty. Choose another, or --overwrite it.")
    if foreign := sorted(found - _OURS):
        raise DataError(
            f"The output {output} holds what no fine-tuning wrote: {', '.join(foreign[:3])}. "
            "Choose another."
        )
    return output


@by_chief
def claim_run(output: pathlib.Path, request: Mapping[str, Mapping], overwrite: bool) -> None:
    """Begin a run, or go on with one that was asked for the same.

    Raises DataError for a run that was asked for something else; `overwrite` begins anew then.
    """
    work = unfinished(output)
    # A run.json of before it had the start's digest is taken to have the same.
    defaults = {"run": {START: request["run"][START]}}
    try:
        claim(work, request, defaults)
    except DataError:
        if not overwrite:
            raise
        remove_folder(work)
        claim(work, request)


@by_chief
def keep_best(output: pathlib.Path, checkpoint: Checkpoint, best: Best) -> None:
    """Write the best checkpoint so far, in the place of the one before."""
    with replacing_folder(unfinished(output) / _BEST) as folder:
        write(folder, checkpoint)
        write_json(folder / _SCORES, best._asdict())


@by_chief
def best_so_far(output: pathlib.Path) -> Best | None:
    """The best epoch that an interrupted run kept; None before the first."""
    file = unfinished(output) / _BEST / _SCORES
    return Best(**read_object(file)) if file.is_file() else None


@by_chief
def finish(
    output: pathlib.Path, summary: Mapping, source: Mapping | None = None, kept: bool = True
) -> None:
    """Put what a run has made in the place of its output, and end the run.

    Args:
        summary: for finetune.json.
        source: for source.json; without one there is none.
        kept: whether there is a checkpoint.
    """
    work = unfinished(output)
    with replacing_folder(output) as folder:
        if kept:
            copy(work / _BEST, folder)
        shutil.copytree(work / LOGS, folder / LOGS)
        write_json(folder / SUMMARY, summary)
        if source:
            write_json(folder / SOURCE, source)
    remove_folder(work)
