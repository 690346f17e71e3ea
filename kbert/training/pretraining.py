"""Pre-training: masked LM and next sentence on a token store, resumable at every step."""

import dataclasses
import json
import os
import pathlib

import keras

from kbert.checkpoints.directory import Checkpoint, copy_weights, save
from kbert.config import BertConfig
from kbert.data.pipeline import as_dataset
from kbert.data.rows import PretrainingRows
from kbert.data.store import TokenStore
from kbert.errors import DataError
from kbert.files import write_json
from kbert.models import build_pretraining_model
from kbert.text.tokenizer import WordPieceTokenizer
from kbert.training.callbacks import Curves, HeldOut, Progress, Saves, StopAtNaN
from kbert.training.devices import compile_whole_step, set_precision, strategy
from kbert.training.fused_adam import FusedBertAdam
from kbert.training.initialization import start_from_corpus
from kbert.training.logs import LogWriter
from kbert.training.objectives import pretraining_objective
from kbert.training.optimizers import WarmupLinearDecay
from kbert.training.saving import resume, save_step, saved_steps, steps_done
from kbert.training.settings import PretrainingSettings, Schedule
from kbert.training.step import TrainingModel


def pretrain(
    store: TokenStore,
    output: str | os.PathLike,
    config: BertConfig,
    settings: PretrainingSettings,
    schedule: Schedule | None = None,
    start: keras.Model | None = None,
) -> dict:
    """Pre-train a BERT, or go on where a run in `output` stopped.

    Args:
        store: the text.
        output: the run's folder: `steps/` holds the saves, `logs/` the curves for TensorBoard, and
            at the end it is itself a checkpoint of the trained model.
        config: the model.
        settings, schedule: how it trains and reports.
        start: a model whose weights, as far as it has them, the run starts from.

    Returns a summary: `finished`, `steps`, `stopped_by`, and the last `held_out` scores.
    Raises `DataError` before training for input that does not fit, `TrainingError` for a loss that
    is no number.
    """
    run, schedule = pathlib.Path(output), schedule or Schedule()
    tokenizer = WordPieceTokenizer(store.vocabulary, **store.tokenizer_options)
    _check(store, config, settings)
    rows = _rows(store, "train", settings)
    held_out_rows = _held_out(store, settings, schedule.validation_batches)
    set_precision(settings.precision)
    devices = strategy()
    _check_divides(settings, devices.num_replicas_in_sync)
    _claim(run, store, config, settings)
    keras.utils.set_random_seed(settings.seed)
    with devices.scope():
        model = build_pretraining_model(config)
        if start is not None:
            copy_weights(start, model)
        elif settings.initialization == "corpus" and not saved_steps(run):
            start_from_corpus(model, store["train"].tokens)
        training_model = _training_model(model, settings)
    checkpoint = Checkpoint(model, tokenizer, config)
    first_step, complaints = resume(run, training_model)
    for complaint in complaints:
        print(complaint)
    writer = LogWriter(run / "logs")
    writer.hyperparameters({**config.to_dict(), **dataclasses.asdict(settings)})
    callbacks, held_out, saves = _callbacks(
        run, held_out_rows, settings, schedule, training_model, checkpoint, writer, first_step
    )
    if first_step < settings.num_steps:
        steps = as_dataset(rows.batch, settings.num_steps - first_step, first_step)
        with saves.listening():
            training_model.fit(steps, verbose=0, shuffle=False, callbacks=callbacks)
    writer.close()
    steps_now = steps_done(training_model)
    finished = steps_now == settings.num_steps
    if finished:
        save(run, checkpoint)
    return {
        "finished": finished,
        "first_step": first_step,
        "steps": steps_now,
        "stopped_by": saves.stopped_by,
        "held_out": held_out.scores,
    }


def _check(store, config, settings):
    if config.vocabulary_size != len(store.vocabulary):
        raise DataError(
            f"The model must have the {len(store.vocabulary)} pieces of the store {store.path}. "
            f"Received: vocabulary_size={config.vocabulary_size}."
        )
    if settings.sequence_length > config.max_sequence_length:
        raise DataError(
            f"Rows must have at most max_sequence_length={config.max_sequence_length} tokens. "
            f"Received: sequence_length={settings.sequence_length}."
        )


def _check_divides(settings, replicas):
    if settings.batch_size % (replicas * settings.accumulate):
        raise DataError(
            f"The batch size must be a multiple of devices x accumulate = {replicas} x "
            f"{settings.accumulate}. Received: {settings.batch_size}."
        )


def _rows(store, split, settings, **changes):
    options = {
        "sequence_length": settings.sequence_length,
        "batch_size": settings.batch_size,
        "seed": settings.seed,
        "masking_rate": settings.masking_rate,
        "short_probability": settings.short_probability,
    }
    return PretrainingRows(store, split, **{**options, **changes})


def _claim(run, store, config, settings):
    """Write run.json, or refuse to resume a run that was started with other text or settings."""
    train = store["train"]
    wanted = {
        "config": config.to_dict(),
        "settings": dataclasses.asdict(settings),
        "store": {"tokens": len(train.tokens), "sentences": train.num_sentences},
    }
    file = run / "run.json"
    if not file.is_file():
        write_json(file, wanted)
        return
    try:
        before = json.loads(file.read_text(encoding="utf-8"))
        differences = [
            f"{name} was {before[part].get(name)}, now {value}"
            for part in wanted
            for name, value in wanted[part].items()
            if before[part].get(name) != value
        ]
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise DataError(f"{file} must hold the settings of a run: {error!r}.") from error
    if differences:
        raise DataError(
            f"{run} holds a run with other settings: {'; '.join(differences)}. "
            "Resume it with its own, or choose another output."
        )


def _training_model(model, settings):
    training_model = TrainingModel(
        model,
        pretraining_objective,
        clip_norm=settings.clip_norm,
        accumulate=settings.accumulate,
        seed=settings.seed,
        jit_step=compile_whole_step(settings.precision),
    )
    rate = WarmupLinearDecay(settings.learning_rate, settings.warmup_steps, settings.num_steps)
    training_model.compile(
        FusedBertAdam(rate, weight_decay=settings.weight_decay, beta_2=settings.beta_2)
    )
    return training_model


def _callbacks(
    run, held_out_rows, settings, schedule, training_model, checkpoint, writer, first_step
):
    span = (first_step, settings.num_steps)

    def write_save():
        save_step(run, training_model, checkpoint, schedule.keep)

    def last_save():
        return str(next(reversed(saved_steps(run)), "none: the run had not saved yet"))

    held_out = HeldOut(
        held_out_rows,
        writer,
        *span,
        schedule.validate_every,
    )
    saves = Saves(write_save, *span, schedule.save_every)
    tokens = settings.batch_size * settings.sequence_length
    callbacks = [
        StopAtNaN(first_step, last_save),
        Progress(*span, settings.batch_size, settings.sequence_length),
        Curves(writer, first_step, schedule.log_every, tokens),
        held_out,
        saves,
    ]
    if schedule.profile:
        callbacks.append(
            keras.callbacks.TensorBoard(
                run / "logs", write_graph=False, profile_batch=schedule.profile
            )
        )
    return callbacks, held_out, saves


def _held_out(store, settings, num_batches):
    """The same held-out rows every time, masked at the paper's rate so that runs compare."""
    rows = _rows(store, "validation", settings, masking_rate=0.15)
    batches = [rows.batch(number) for number in range(num_batches)]

    def batch(number):
        inputs, targets, weights = batches[number]
        return inputs, targets, {name: value / num_batches for name, value in weights.items()}

    return as_dataset(batch, num_batches)
