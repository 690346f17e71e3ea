"""Fine-tuning an encoder on a task, and scoring the result: the same code for every task."""

import dataclasses
import pathlib
import time
from collections.abc import Sequence

import keras
import numpy as np
from tqdm import tqdm

from kbert.checkpoints.directory import Checkpoint, encoder_of, load, save
from kbert.data.examples import Feature, TrainingBatches
from kbert.data.pipeline import as_dataset
from kbert.errors import DataError
from kbert.files import write_json
from kbert.models import build_encoder
from kbert.tasks.answering import answer_features
from kbert.tasks.bad_rows import BadRows
from kbert.tasks.base import Example, Task
from kbert.training.best_epoch import BestEpoch
from kbert.training.devices import strategy
from kbert.training.feature_cache import as_vectors, cache_of, split
from kbert.training.fused_adam import FusedBertAdam
from kbert.training.optimizers import WarmupLinearDecay
from kbert.training.precision import set_precision
from kbert.training.step import TrainingModel

SUMMARY = "finetune.json"


def finetune(
    task: Task,
    checkpoint: str | pathlib.Path,
    train_path: str | pathlib.Path,
    output: str | pathlib.Path,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    warmup_share: float,
    weight_decay: float,
    bias_correction: bool = True,
    validation_path: str | pathlib.Path | None = None,
    validation_share: float = 0.0,
    metric: str | None = None,
    patience: int | None = None,
    limit: int | None = None,
    from_random: bool = False,
    seed: int = 0,
    precision: str = "float32",
    encoder_dropout: float = 0.1,
    feature_cache: str | pathlib.Path | None = None,
    feature_type: str = "float32",
    overwrite: bool = False,
    skip_bad: bool = False,
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
        learning_rate: at the top of the warm-up, which takes `warmup_share` of all steps; then it
            falls in a line to 0 at the last step.
        weight_decay: on all weights but norms and biases.
        bias_correction: False for BERT's original Adam, which lacks it.
        validation_share: share of the training rows to hold out where there is no validation file.
            0 holds out none: then the last epoch is kept.
        metric: one of `task.metric_names`, by which the best epoch is chosen; None for the first.
        patience: stop after so many epochs in a row without a better one; None never stops.
        limit: use so many training rows, drawn by `seed`; None uses all.
        from_random: begin with random weights, for comparison; the checkpoint gives only its
            configuration and vocabulary.
        precision: float32, bfloat16 or float16.
        encoder_dropout: of hidden values and attention, whatever pre-training had.
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
    metric = check_settings(task, epochs, batch_size, warmup_share, metric)
    output = check_output(output, checkpoint, overwrite)
    cache = cache_of(feature_cache, feature_type, task.features)
    bad = BadRows(skip_bad)
    examples = task.read_examples(train_path, bad=bad)
    task = task.prepare(examples, str(train_path))
    train, validation = split_rows(examples, limit, validation_path, validation_share, seed)
    if validation_path is not None:
        validation = task.read_examples(validation_path, bad=bad)

    keras.utils.set_random_seed(seed)
    set_precision(precision)
    devices = strategy()
    with devices.scope():
        start = with_dropout(load(checkpoint), encoder_dropout)
        check_length(task, start)
        encoder = build_encoder(start.config) if from_random else encoder_of(start)
        model = task.build_model(encoder)
    features = encode(task, train, start.tokenizer, bad)
    held_out = encode(task, validation, start.tokenizer, bad)
    trained = model
    if task.features is not None:
        with devices.scope():
            extractor, trained = split(model)
        features, held_out = (
            as_vectors(extractor, part, start.config, cache, batch_size, verbose)
            for part in (features, held_out)
        )

    def score() -> dict:
        nonlocal task
        answers = answer_features(task, trained, held_out, validation, batch_size)
        task = task.tune(answers, validation)
        return task.metrics(answers, validation)

    def keep() -> None:
        save(output, start._replace(model=model, task=task))

    output.mkdir(parents=True, exist_ok=True)
    best = BestEpoch(score if validation else None, keep, metric, patience)
    settings = {
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "warmup_share": warmup_share,
        "weight_decay": weight_decay,
        "bias_correction": bias_correction,
        "seed": seed,
    }
    board = keras.callbacks.TensorBoard(str(output / "logs"), write_graph=False)
    began = time.monotonic()
    steps = fit(devices, trained, task, features, [best, board], verbose, **settings)
    summary = {
        "task": task.name,
        "from": "random weights" if from_random else str(checkpoint),
        "train": str(train_path),
        "train_rows": len(train),
        "train_rows_cut": count_cut(features),
        "train_counts": task.counts(train, features),
        "validation_rows": len(validation),
        "validation_rows_cut": count_cut(held_out),
        "validation_counts": task.counts(validation, held_out),
        **(bad.report() if skip_bad else {}),
        "sequence_length": task.sequence_length,
        **settings,
        "precision": precision,
        "encoder_dropout": encoder_dropout,
        "steps": steps,
        "seconds": round(time.monotonic() - began, 1),
        "chosen_by": metric if validation else "last epoch",
        "best_epoch": best.epoch,
        "scores": best.scores,
    }
    write_json(output / SUMMARY, summary)
    return summary


def fit(
    devices,
    model: keras.Model,
    task: Task,
    features: Sequence[Feature],
    callbacks: list,
    verbose: int,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    warmup_share: float,
    weight_decay: float,
    bias_correction: bool,
    seed: int,
) -> int:
    """Train `model` where it stands. Returns the number of steps planned."""
    batches = TrainingBatches(features, batch_size, seed, task.sequence_length, task.token_targets)
    steps = epochs * len(batches)
    with devices.scope():
        # Not compiled by XLA, which would take many seconds for each length of batches.
        trainer = TrainingModel(model, task.objective, seed=seed)
        schedule = WarmupLinearDecay(learning_rate, round(warmup_share * steps), steps)
        trainer.compile(FusedBertAdam(schedule, weight_decay, bias_correction=bias_correction))
    trainer.fit(
        as_dataset(batches, steps, fixed_shapes=False),
        epochs=epochs,
        steps_per_epoch=len(batches),
        shuffle=False,
        callbacks=callbacks,
        verbose=verbose,
    )
    return steps


def evaluate(
    task: Task,
    checkpoint: Checkpoint,
    path: str | pathlib.Path,
    batch_size: int = 64,
    skip_bad: bool = False,
    progress: bool = False,
) -> dict:
    """The task's scores of a fine-tuned checkpoint on a labelled file, ready for JSON.

    Args:
        task: the checkpoint's own, or that with other options for reading files.
        skip_bad: count rows that do not fit, and go on, instead of stopping at the first.
        progress: show a bar on a terminal.

    Raises DataError for a file that does not fit, and for answers that training did not have.
    """
    bad = BadRows(skip_bad)
    examples = task.read_examples(path, bad=bad)
    features = encode(task, examples, checkpoint.tokenizer, bad)
    hidden = None if progress else True  # None: where there is no terminal.
    with tqdm(total=len(examples), desc="evaluate", unit=" rows", disable=hidden) as bar:
        answers = answer_features(task, checkpoint.model, features, examples, batch_size, bar)
    scores = task.metrics(answers, examples)
    counts = {"rows": len(examples), "rows_cut": count_cut(features)}
    counted = bad.report() if skip_bad else {}
    return counts | counted | task.counts(examples, features) | scores


def encode(task: Task, examples: Sequence[Example], tokenizer, bad: BadRows) -> list[Feature]:
    """The features of labelled examples; one from which nothing can be learned is a bad row."""
    features = task.encode(examples, tokenizer)
    for error in task.feature_errors(examples, features):
        bad.add(error)
    return features


def load_finetuned(path: str | pathlib.Path) -> Checkpoint:
    """A checkpoint with a task. Raises DataError for one that is only pre-trained."""
    checkpoint = load(path)
    if checkpoint.task is None:
        raise DataError(f"{path} is not fine-tuned: expected what `kbert finetune` wrote.")
    return checkpoint


def with_dropout(checkpoint: Checkpoint, rate: float) -> Checkpoint:
    """The checkpoint with another dropout in its configuration. Raises DataError for no rate."""
    try:
        config = dataclasses.replace(checkpoint.config, dropout=rate, attention_dropout=rate)
    except ValueError as error:
        raise DataError(str(error)) from error
    return checkpoint._replace(config=config)


def split_rows(
    examples: Sequence[Example],
    limit: int | None,
    validation_path: str | pathlib.Path | None,
    validation_share: float,
    seed: int,
) -> tuple[list[Example], list[Example]]:
    """Training rows and held-out rows, drawn by `seed`. Raises DataError if one would be empty."""
    if limit is not None and not 1 <= limit <= len(examples):
        raise DataError(f"Expected a limit from 1 to the {len(examples)} rows. Received: {limit}.")
    if not 0 <= validation_share < 1:
        raise DataError(f"Expected a held-out share from 0 up to 1. Received: {validation_share}.")
    order = np.random.default_rng(seed).permutation(len(examples))[:limit]
    held_out = 0
    if validation_path is None and validation_share > 0:
        held_out = max(1, round(validation_share * len(order)))
        if held_out == len(order):
            raise DataError(f"{len(order)} rows are too few to hold out {validation_share:.0%}.")
    rows = [examples[i] for i in order]
    return rows[held_out:], rows[:held_out]


def check_settings(
    task: Task, epochs: int, batch_size: int, warmup_share: float, metric: str | None
) -> str:
    """Returns the metric to choose by. Raises DataError for a setting that makes no sense."""
    if epochs < 1 or batch_size < 1:
        raise DataError(
            f"Expected one epoch and a batch of one at least. Received: {epochs}, {batch_size}."
        )
    if not 0 <= warmup_share <= 1:
        raise DataError(f"Expected a warm-up share from 0 to 1. Received: {warmup_share}.")
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


def check_length(task: Task, start: Checkpoint) -> None:
    longest = start.config.max_sequence_length
    if task.sequence_length > longest:
        raise DataError(
            f"The checkpoint knows {longest} positions. "
            f"Received: a sequence length of {task.sequence_length}."
        )


def count_cut(features: Sequence[Feature]) -> int:
    """How many texts lost their end."""
    return sum(feature.cut for feature in features)
