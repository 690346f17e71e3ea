"""Fine-tuning an encoder on a task: the same code for every task and every backend."""

import dataclasses
import pathlib
import shlex
import time
from collections.abc import Mapping, Sequence

from kbert.checkpoints.directory import Checkpoint
from kbert.checkpoints.formats import load_any
from kbert.checkpoints.hubs import folder_of, pinned, read_source
from kbert.checkpoints.weights import weights_digest
from kbert.claim import stamp, unfinished
from kbert.engine.backend import engine
from kbert.engine.callbacks import Counter, Curves, Progress, Saves, StopAtNaN
from kbert.engine.cluster import cluster
from kbert.engine.curves import draw_curves
from kbert.engine.logs import LogWriter
from kbert.engine.precision import dtype_policy
from kbert.engine.saving import last_save, resume, save_step, steps_done
from kbert.engine.workers import by_chief, only_chief, together
from kbert.errors import DataError
from kbert.finetuning.best_epoch import Best, BestEpoch
from kbert.finetuning.learning_rate import with_learning_rate
from kbert.finetuning.output import (
    LOGS,
    START,
    best_so_far,
    check_output,
    claim_run,
    finish,
    keep_best,
)
from kbert.finetuning.rows import FinetuningRows, TrainFiles, read_rows
from kbert.finetuning.settings import (
    WITHOUT_EFFECT,
    EpochChoice,
    FeatureSettings,
    FinetuningSettings,
    RowSettings,
)
from kbert.finetuning.training import Plan, Run, build_run
from kbert.inference.answering import answer_features
from kbert.inference.forward import compiles_shapes
from kbert.metrics.plots import LabelProbabilities, confusions_png, frequent_labels
from kbert.settings import as_options
from kbert.tasks.base import Task
from kbert.tasks.readers.bad_rows import BadRowSettings


def finetune(
    task: Task,
    checkpoint: str | pathlib.Path,
    train_path: TrainFiles,
    output: str | pathlib.Path,
    settings: FinetuningSettings | None = None,
    *,
    validation_path: str | pathlib.Path | None = None,
    validation_share: float = RowSettings.validation_share,
    metric: str | None = EpochChoice.metric,
    patience: int | None = EpochChoice.patience,
    limit: int | None = RowSettings.limit,
    from_random: bool = False,
    feature_cache: str | pathlib.Path | None = FeatureSettings.feature_cache,
    feature_type: str = FeatureSettings.feature_type,
    overwrite: bool = False,
    skip_bad: bool = BadRowSettings.skip_bad,
    verbose: int = 1,
) -> dict:
    """Train a checkpoint's encoder with the task's output layer; keep the best epoch.

    All input is read and checked before the first step. Writes to `output`, at the end: the
    checkpoint of the best epoch, `finetune.json` (what is returned) and TensorBoard's `logs`. Until
    then the run works in `output` + ".unfinished", and goes on from there when it is called again
    with the same arguments. On one device the same arguments give the same weights, interrupted or
    not.

    From a model of the same task and labels its output layer is trained further, too.

    Args:
        task: with what its files look like; labels and the like are found in the training file.
        checkpoint: a folder with a BERT of any format, pre-trained or fine-tuned, or the name of
            one on a hub (hf:OWNER/NAME).
        train_path: a file that `task.read_examples` reads, or several.
        validation_path: another.
        settings: how it is trained.
        validation_share: share of the training rows to hold out where there is no validation file.
            0 holds out none: then the last epoch is kept.
        metric: one of `task.metric_names`, by which the best epoch is chosen; None for the first.
        patience: stop after so many epochs in a row without a better one; None never stops.
        limit: use so many training rows, drawn by the seed, those held out among them; None uses
            all.
        from_random: begin with random weights, for comparison; the checkpoint gives only its
            configuration and vocabulary.
        feature_cache: of a task with `features`, where a frozen encoder's vectors are kept for
            other runs; None computes them for this one, in memory.
        feature_type: as which they are kept: float32, or float16 in half of the room.
        overwrite: allow an `output` that holds another fine-tuning; it is replaced at the end.
        skip_bad: count rows that do not fit, and go on, instead of stopping at the first.
        verbose: 0 is silent, but for saves that are damaged; otherwise there are a line an epoch
            and, on a terminal, a bar.

    Returns:
        Settings, counts and the kept epoch's scores, ready for JSON.

    Raises DataError for input that does not fit, and where another process writes the same output;
    TrainingError for a loss that becomes NaN; Stopped after the save that SIGTERM or Ctrl-C asked
    for.
    """
    settings = settings or FinetuningSettings()
    choice = EpochChoice(checked_metric(task, metric), patience)
    output = check_output(output, checkpoint, overwrite)
    if cluster().count > 1 and compiles_shapes():
        raise DataError("Fine-tuning on several workers needs KERAS_BACKEND=tensorflow.")
    with together(output), engine().gradients_forgotten():
        start = load_start(checkpoint)
        rows = read_rows(
            task,
            start,
            train_path,
            validation_path=validation_path,
            validation_share=validation_share,
            limit=limit,
            seed=settings.seed,
            skip_bad=skip_bad,
            feature_cache=feature_cache,
            feature_type=feature_type,
        )
        if not rows.validation:
            choice.check_unset("patience", needs="held-out rows")
        start_of = pinned(checkpoint), read_source(checkpoint)
        plan = Plan(*start_of, choice, from_random, overwrite, silent=not verbose)
        return finetune_on(rows, start, output, settings, plan)


def load_start(checkpoint: str | pathlib.Path) -> Checkpoint:
    """The checkpoint in float32, whatever precision a run before this one has left behind."""
    with dtype_policy("float32"):
        return load_any(checkpoint)


def finetune_on(
    rows: FinetuningRows,
    start: Checkpoint,
    output: pathlib.Path,
    settings: FinetuningSettings,
    plan: Plan,
    command: str | None = None,
) -> dict:
    """`finetune` on rows that have been read, from a checkpoint that has been loaded.

    `command` makes the same again, where the run is one of several.
    """
    settings = with_learning_rate(settings, start.config, rows.task)
    run = build_run(rows, start, settings, plan)
    of_start = digest_of_start(start, settings, plan.from_random)
    claim_run(output, _request(rows, settings, plan, of_start), plan.overwrite)
    first_step, complaints = resume(unfinished(output), run.trainer)
    for complaint in complaints:
        print(complaint)
    began = time.monotonic()
    with LogWriter(only_chief(unfinished(output) / LOGS)) as writer:
        best = _train(run, output, settings, plan, first_step, writer)
        _log_result(writer, best, settings, rows.task)
    if not plan.silent:
        draw_curves(unfinished(output) / LOGS)
    summary = {
        "task": rows.task.name,
        "from": "random weights" if plan.from_random else plan.checkpoint,
        "output_layer": run.models.output_layer,
        **rows.summary(),
        **settings.to_json(),
        "first_step": first_step,
        "steps": steps_done(run.trainer),
        "seconds": round(time.monotonic() - began, 1),
        "chosen_by": plan.choice.metric if rows.validation else "last epoch",
        "best_epoch": best.epoch,
        "scores": best.scores,
        "trivial_score": rows.trivial_score(),
        "failed": bool(rows.validation) and has_failed(best.scores, rows),
        "command": command_of(rows, output, settings, plan) if command is None else command,
    }
    finish(output, summary, None if plan.from_random else plan.source)
    return summary


def digest_of_start(start: Checkpoint, settings: FinetuningSettings, from_random: bool) -> str:
    """Of the weights that a run begins with, and of its teachers: a folder may hold others than in
    the call before."""
    found = "" if from_random else weights_digest(start.model)
    return f"{found} {stamp(map(folder_of, settings.teacher))}" if settings.teacher else found


def _request(rows: FinetuningRows, settings: FinetuningSettings, plan: Plan, of_start: str) -> dict:
    """What two runs must agree in, so that one can go on where the other stopped."""
    values = dataclasses.asdict(settings)
    for name in WITHOUT_EFFECT:
        del values[name]
    return {
        "run": {
            "from": plan.checkpoint,
            "from_random": plan.from_random,
            **vars(plan.choice),
            START: of_start,
        },
        "rows": {"digest of the rows": rows.digest(), "feature_type": rows.cache.dtype},
        "task": {"task": rows.task.name, **rows.task.to_json()},
        "settings": values,
    }


def command_of(
    rows: FinetuningRows,
    output: pathlib.Path,
    settings: FinetuningSettings,
    plan: Plan,
    verb: str = "finetune",
    more: Sequence[str] = (),
) -> str:
    """What makes the same run again; `more` are options of the verb besides."""
    words = ["kbert", verb, rows.task.name, "--from", plan.checkpoint, *rows.options]
    words += ["--from-random"] if plan.from_random else []
    for chosen in (plan.choice, settings):
        words += as_options(chosen)
    return shlex.join([*words, *more, "--output", str(output)])


def _train(
    run: Run,
    output: pathlib.Path,
    settings: FinetuningSettings,
    plan: Plan,
    first_step: int,
    writer: LogWriter,
) -> Best:
    """From a step to the end."""
    counter, steps_per_epoch = Counter(first_step, run.num_steps), len(run.batches)
    model = _Model(run, output, settings.batch_size, writer, plan.silent)
    tokens_of = run.batches.num_tokens
    best = BestEpoch(
        counter,
        steps_per_epoch,
        model.score if run.rows.validation else None,
        model.keep,
        plan.choice,
        writer=writer,
        best=best_so_far(output),
        silent=plan.silent,
    )
    saves = Saves(model.save, counter, settings.save_every, steps_per_epoch)
    callbacks = [
        counter,
        StopAtNaN(counter, model.last_save),
        Progress(counter, "finetune", run.num_steps, settings.batch_size, tokens_of, plan.silent),
        Curves(writer, counter, settings.log_every, tokens_of),
        best,
        saves,
    ]
    if not best.is_over():
        with saves.listening():
            _fit(run, counter, callbacks)
    return best.best


class _Model:
    """The model of a run as it is, with its task as the last scores have tuned it."""

    def __init__(
        self,
        run: Run,
        output: pathlib.Path,
        batch_size: int,
        writer: LogWriter,
        silent: bool,
    ):
        self.run = run
        self.output = output
        self.batch_size = batch_size
        self.writer = writer
        self.silent = silent
        self.task = run.rows.task

    @by_chief
    def score(self) -> dict:
        """The scores on the held-out rows, on which the task is tuned."""
        self.run.trainer.synchronise()
        rows, model = self.run.rows, self.run.models.trained
        answers = answer_features(
            rows.task, model, self.run.held_out, rows.validation, self.batch_size
        )
        self.task = rows.task.tune(answers, rows.validation)
        if self.task.has_plot:
            self._show(self.task.label_probabilities(answers, rows.validation))
        return self.task.metrics(answers, rows.validation)

    def _show(self, found: LabelProbabilities) -> None:
        """The epoch's confusion matrix, and precision against recall, in TensorBoard."""
        step = steps_done(self.run.trainer)
        for number in frequent_labels(found):
            name = f"held_out/{found.labels[number]}"
            columns = found.is_right[:, number], found.probabilities[:, number]
            self.writer.precision_recall(step, name, *columns)
        picture = confusions_png(found) if found.exclusive and not self.silent else None
        if picture is not None:
            self.writer.image(step, "held_out/confusion_matrix", *picture)

    def keep(self, best: Best) -> None:
        """Write the model as the best so far."""
        self.run.trainer.synchronise()
        keep_best(self.output, self._checkpoint(self.run.models.model), best)

    def save(self) -> None:
        """Write what the run goes on from."""
        self.writer.flush()
        checkpoint = self._checkpoint(self.run.models.trained)
        save_step(unfinished(self.output), self.run.trainer, checkpoint, keep=2)

    def last_save(self) -> str:
        """Where the last save is, for messages."""
        return last_save(unfinished(self.output))

    def _checkpoint(self, model):
        return self.run.models.start._replace(model=model, task=self.task)


def _fit(run: Run, counter: Counter, callbacks: list) -> None:
    first, last = counter.first_step, counter.end_step
    steps = engine().as_dataset(run.batches, last - first, first, run.batches.one_shape)
    run.trainer.fit(steps, verbose=0, shuffle=False, callbacks=callbacks)


def _log_result(writer: LogWriter, best: Best, settings: FinetuningSettings, task: Task) -> None:
    """A row of TensorBoard's HParams page: the settings, and the scores that are single numbers."""
    writer.hyperparameters(dataclasses.asdict(settings))
    found = {name: best.scores.get(name) for name in task.metric_names}
    kept = {f"kept/{name}": value for name, value in found.items() if value is not None}
    writer.scalars(best.epoch, kept)


def has_failed(scores: Mapping, rows: FinetuningRows) -> bool:
    """Whether scores on the held-out rows are no better than those of answers without the text."""
    return rows.task.has_failed(scores, rows.trivial_score())


def checked_metric(task: Task, metric: str | None) -> str:
    """The metric to choose by. Raises DataError for one that the task does not have."""
    metric = task.metric_names[0] if metric is None else metric
    if metric not in task.metric_names:
        raise DataError(f"Expected a metric of {', '.join(task.metric_names)}. Received: {metric}.")
    return metric
