"""Fine-tuning an encoder on a task, and scoring the result: the same code for every task."""

import dataclasses
import pathlib
import time

import keras

from kbert.checkpoints.directory import Checkpoint, encoder_of, load, save
from kbert.engine.devices import strategy
from kbert.engine.fused_adam import FusedBertAdam
from kbert.engine.logs import LogWriter
from kbert.engine.optimizers import WarmupLinearDecay
from kbert.engine.precision import set_precision
from kbert.engine.tensorflow import TrainingModel, as_dataset
from kbert.errors import DataError
from kbert.files import write_json
from kbert.finetuning.batches import TrainingBatches
from kbert.finetuning.best_epoch import BestEpoch
from kbert.finetuning.feature_cache import as_vectors, split
from kbert.finetuning.remedies.adversarial import AdversarialTraining
from kbert.finetuning.remedies.layerwise import check_layers, freeze, rate_factors, reinitialize
from kbert.finetuning.rows import FinetuningRows, read_rows
from kbert.finetuning.settings import (
    EpochChoice,
    FeatureSettings,
    FinetuningSettings,
    RowSettings,
)
from kbert.inference.answering import answer_features
from kbert.models import build_encoder
from kbert.tasks.base import Task
from kbert.tasks.readers.bad_rows import BadRowSettings

SUMMARY = "finetune.json"
LOGS = "logs"


def finetune(
    task: Task,
    checkpoint: str | pathlib.Path,
    train_path: str | pathlib.Path,
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

    All input is read and checked before the first step. Writes to `output`: the checkpoint of the
    best epoch, `finetune.json` (what is returned) and TensorBoard's `logs`. On one device the same
    arguments give the same weights.

    Args:
        task: with what its files look like; labels and the like are found in the training file.
        checkpoint: a checkpoint directory, pre-trained or fine-tuned.
        train_path, validation_path: files that `task.read_examples` reads.
        settings: how it is trained.
        validation_share: share of the training rows to hold out where there is no validation file.
            0 holds out none: then the last epoch is kept.
        metric: one of `task.metric_names`, by which the best epoch is chosen; None for the first.
        patience: stop after so many epochs in a row without a better one; None never stops.
        limit: use so many training rows, drawn by the seed; None uses all.
        from_random: begin with random weights, for comparison; the checkpoint gives only its
            configuration and vocabulary.
        feature_cache: of a task with `features`, where a frozen encoder's vectors are kept for
            other runs; None computes them for this one, in memory.
        feature_type: as which they are kept: float32, or float16 in half of the room.
        overwrite: allow an `output` that is not empty.
        skip_bad: count rows that do not fit, and go on, instead of stopping at the first.
        verbose: Keras's: 0 is silent, 1 shows a progress bar, 2 a line an epoch.

    Returns:
        Settings, counts and the kept epoch's scores, ready for JSON.

    Raises DataError for input that does not fit, TrainingError for a loss that becomes NaN.
    """
    settings = settings or FinetuningSettings()
    choice = EpochChoice(checked_metric(task, metric), patience)
    output = check_output(output, checkpoint, overwrite)
    rows = read_rows(
        task,
        checkpoint,
        train_path,
        validation_path=validation_path,
        validation_share=validation_share,
        limit=limit,
        seed=settings.seed,
        skip_bad=skip_bad,
        feature_cache=feature_cache,
        feature_type=feature_type,
    )
    return finetune_on(rows, checkpoint, output, settings, choice, from_random, verbose)


def finetune_on(
    rows: FinetuningRows,
    checkpoint: str | pathlib.Path,
    output: pathlib.Path,
    settings: FinetuningSettings,
    choice: EpochChoice,
    from_random: bool = False,
    verbose: int = 1,
) -> dict:
    """`finetune` on rows that have been read."""
    task = rows.task
    if task.features is not None and settings.adversary is not None:
        raise DataError("An adversary moves the embeddings, which `features` freeze.")
    keras.utils.set_random_seed(settings.seed)
    set_precision(settings.precision)
    devices = strategy()
    with devices.scope():
        start = with_dropout(load(checkpoint), settings.encoder_dropout)
        check_layers(start.config, settings)
        encoder = first_encoder(start, settings, from_random)
        model = task.build_model(encoder)
        trained = model
        if task.features is not None:
            extractor, trained = split(model)
    features, held_out = rows.train_features, rows.validation_features
    if task.features is not None:
        features, held_out = (
            as_vectors(extractor, part, start.config, rows.cache, settings.batch_size, verbose)
            for part in (features, held_out)
        )
    batches = TrainingBatches(
        features, settings.batch_size, settings.seed, task.sequence_length, task.token_targets
    )
    with devices.scope():
        factors = rate_factors(encoder, start.config, settings.layer_decay)
        trainer = trainer_of(trained, encoder, task, settings)
        trainer.compile(optimizer_of(settings, settings.epochs * len(batches), factors))

    def score() -> dict:
        nonlocal task
        answers = answer_features(task, trained, held_out, rows.validation, settings.batch_size)
        task = task.tune(answers, rows.validation)
        return task.metrics(answers, rows.validation)

    def keep() -> None:
        save(output, start._replace(model=model, task=task))

    output.mkdir(parents=True, exist_ok=True)
    best = BestEpoch(score if rows.validation else None, keep, choice.metric, choice.patience)
    began = time.monotonic()
    fit(trainer, batches, settings.epochs, [best, board(output)], verbose)
    summary = {
        "task": task.name,
        "from": "random weights" if from_random else str(checkpoint),
        **rows.summary(),
        **dataclasses.asdict(settings),
        "steps": settings.epochs * len(batches),
        "seconds": round(time.monotonic() - began, 1),
        "chosen_by": choice.metric if rows.validation else "last epoch",
        "best_epoch": best.epoch,
        "scores": best.scores,
    }
    log_result(output / LOGS, summary, settings, task)
    write_json(output / SUMMARY, summary)
    return summary


def first_encoder(
    start: Checkpoint, settings: FinetuningSettings, from_random: bool
) -> keras.Model:
    """The encoder before the first step."""
    encoder = build_encoder(start.config) if from_random else encoder_of(start)
    if settings.reinitialize is not None:
        reinitialize(encoder, start.config, settings.reinitialize)
    freeze(encoder, settings.freeze_embeddings, settings.freeze_layers)
    return encoder


def trainer_of(
    model: keras.Model, encoder: keras.Model, task: Task, settings: FinetuningSettings
) -> TrainingModel:
    """The model with its train step, which an adversary makes longer."""
    # Not compiled by XLA, which would take many seconds for each length of batches.
    if settings.adversary is None:
        return TrainingModel(model, task.objective, seed=settings.seed)
    steps = {"steps": settings.pgd_steps, "step_size": settings.pgd_step_size}
    return AdversarialTraining(
        model,
        task.objective,
        encoder.get_layer("embedding").token_table,
        settings.adversary_radius,
        **(steps if settings.adversary == "pgd" else {}),
        seed=settings.seed,
    )


def optimizer_of(
    settings: FinetuningSettings, steps: int, factors: dict[str, float]
) -> FusedBertAdam:
    """Adam for a run of so many steps; `factors` are those of `rate_factors`."""
    warmup = round(settings.warmup_share * steps)
    return FusedBertAdam(
        WarmupLinearDecay(settings.learning_rate, warmup, steps),
        settings.weight_decay,
        bias_correction=not settings.original_adam,
        rate_factors=factors,
    )


def fit(
    trainer: TrainingModel, batches: TrainingBatches, epochs: int, callbacks: list, verbose: int
) -> None:
    trainer.fit(
        as_dataset(batches, epochs * len(batches), fixed_shapes=False),
        epochs=epochs,
        steps_per_epoch=len(batches),
        shuffle=False,
        callbacks=callbacks,
        verbose=verbose,
    )


def board(output: pathlib.Path) -> keras.callbacks.TensorBoard:
    return keras.callbacks.TensorBoard(str(output / LOGS), write_graph=False)


def log_result(
    folder: pathlib.Path, summary: dict, settings: FinetuningSettings, task: Task
) -> None:
    """A row of TensorBoard's HParams page: the settings, and the scores that are single numbers."""
    writer = LogWriter(folder)
    writer.hyperparameters(dataclasses.asdict(settings))
    found = {name: summary["scores"].get(name) for name in task.metric_names}
    kept = {f"kept/{name}": value for name, value in found.items() if value is not None}
    writer.scalars(summary["best_epoch"], kept)
    writer.close()


def with_dropout(checkpoint: Checkpoint, rate: float) -> Checkpoint:
    """The checkpoint with another dropout in its configuration. Raises DataError for no rate."""
    try:
        config = dataclasses.replace(checkpoint.config, dropout=rate, attention_dropout=rate)
    except ValueError as error:
        raise DataError(str(error)) from error
    return checkpoint._replace(config=config)


def checked_metric(task: Task, metric: str | None) -> str:
    """The metric to choose by. Raises DataError for one that the task does not have."""
    metric = task.metric_names[0] if metric is None else metric
    if metric not in task.metric_names:
        raise DataError(f"Expected a metric of {', '.join(task.metric_names)}. Received: {metric}.")
    return metric


def check_output(
    output: str | pathlib.Path, checkpoint: str | pathlib.Path, overwrite: bool
) -> pathlib.Path:
    """Raises DataError for an output that would destroy something, before any work is done."""
    output = pathlib.Path(output)
    if output.resolve() == pathlib.Path(checkpoint).resolve():
        raise DataError(f"The output {output} is the checkpoint to start from.")
    if output.exists() and not output.is_dir():
        raise DataError(f"The output {output} is a file; expected a directory.")
    if not overwrite and output.exists() and any(output.iterdir()):
        raise DataError(f"The output {output} is not empty. Choose another, or overwrite it.")
    return output
