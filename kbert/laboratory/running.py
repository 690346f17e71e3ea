"""Runs cells: each leaves a result in its folder, and can be stopped at any moment."""

import contextlib
import dataclasses
import gc
import pathlib
import shutil
import time

from kbert.checkpoints.ensemble import write_ensemble
from kbert.checkpoints.formats import load_any, load_finetuned
from kbert.checkpoints.model_card import SUMMARY
from kbert.config import BertConfig
from kbert.corpus.store import TokenStore
from kbert.engine.precision import PRECISIONS, dtype_policy, set_precision
from kbert.errors import TrainingError
from kbert.files import read_object, write_json
from kbert.finetuning.output import LOGS
from kbert.finetuning.rows import encode
from kbert.finetuning.run import finetune
from kbert.inference.answering import answer_features
from kbert.laboratory.cells import CHECKPOINT, FINETUNED, RESULT, Cell, Chain, further_seed
from kbert.laboratory.grid import Finetuning, Judging, Pretraining
from kbert.laboratory.minimal_pairs import is_right, read_pairs, shares_by
from kbert.laboratory.statistics import resampled, resampled_tally
from kbert.metrics.tally import mean_of
from kbert.pretraining.run import pretrain
from kbert.tasks.readers.bad_rows import BadRows

_LOG, _ENSEMBLE = "log.txt", "ensemble"


def run_chain(chain: Chain, output: pathlib.Path) -> None:
    """Run the cells of a chain that are not done."""
    for cell in chain.cells:
        if cell.result(output) is None:
            run_cell(cell, output)
        else:
            _clean(cell.folder(output))  # A call that was killed may have come no further.


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
    write_json(folder / RESULT, result)
    _clean(folder)
    return result


def _clean(folder: pathlib.Path) -> None:
    """Remove what a cell needs only until it has its result: saves, and fine-tuned weights."""
    left = [folder / CHECKPOINT / "steps", folder / _ENSEMBLE]
    for model in folder.glob(f"{FINETUNED}*"):
        left += [path for path in model.iterdir() if path.name != LOGS]
    for path in left:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _run(cell: Cell, output: pathlib.Path) -> dict:
    gc.collect()  # The models of cells before: they hold circles of references.
    start = cell.start
    if isinstance(start, Cell):
        before = start.result(output)
        if before["error"] is not None:
            return {"error": before["error"], "scores": {}}
        start = start.checkpoint(output)
    if isinstance(cell.what, Pretraining):
        return _pretrain(cell, start, cell.checkpoint(output))
    run = _judge if isinstance(cell.what, Judging) else _finetune
    with dtype_policy("float32"):
        return run(cell, start, cell.folder(output))


def _pretrain(cell: Cell, start: pathlib.Path | None, run: pathlib.Path) -> dict:
    what = cell.what
    settings = dataclasses.replace(what.settings, seed=cell.inputs["seed"])
    schedule = dataclasses.replace(what.schedule, keep=1)
    config = BertConfig(**cell.inputs["config"])
    model = None
    if start is not None:
        with dtype_policy("float32"):
            model = load_any(start).model
    with dtype_policy(PRECISIONS[settings.precision]):
        found = pretrain(TokenStore(what.store), run, config, settings, schedule, start=model)
    return {
        "scores": found["held_out"],
        "first_step": found["first_step"],
        "steps": found["steps"],
        "parameters": config.num_parameters(),
    }


def _finetune(cell: Cell, start: pathlib.Path, folder: pathlib.Path) -> dict:
    what, others = cell.what, range(1, cell.what.members)
    models = [folder / FINETUNED, *(folder / f"{FINETUNED}_{number}" for number in others)]
    summaries, first_step = [], 0
    for number, model in enumerate(models):
        is_there = (model / SUMMARY).is_file()
        if not is_there:
            if number > 0:
                gc.collect()  # The member before.
            _finetune_one(what, start, model, further_seed(cell.seed, number))
        summaries.append(read_object(model / SUMMARY))
        first_step += summaries[-1]["steps" if is_there else "first_step"]
    answering = models[0]
    if len(models) > 1:
        answering = folder / _ENSEMBLE
        if not answering.exists():
            write_ensemble(answering, models)
    set_precision("float32")
    began = time.monotonic()
    found = _scored(answering, what, cell.resamples)
    names = ("epochs", "train_rows", "best_epoch", "validation_rows")
    return {
        # Of all members, so that the plan knows how much of them the seconds are of.
        "first_step": first_step,
        "steps": sum(summary["steps"] for summary in summaries),
        **{name: summaries[0][name] for name in names},
        "scoring_seconds": time.monotonic() - began,
        **found,
    }


def _finetune_one(what: Finetuning, start: pathlib.Path, model: pathlib.Path, seed: int) -> None:
    finetune(
        what.task,
        start,
        what.train,
        model,
        dataclasses.replace(what.settings, seed=seed),
        validation_path=what.validation,
        **what.rows.to_json(),
        **what.choice.to_json(),
        from_random=what.from_random,
        verbose=0,
    )


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
    settings = cell.what.settings
    pairs = read_pairs(cell.what.pairs, settings.limit)
    right = is_right(load_any(start), pairs, settings.length_exponent)
    return {
        "scores": {"accuracy": float(right.mean())},
        "test_rows": len(pairs),
        "phenomena": shares_by([pair.phenomenon for pair in pairs], right),
        "drawn": resampled_tally(mean_of(right), cell.resamples).tolist(),
    }
