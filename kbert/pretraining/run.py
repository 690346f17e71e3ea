"""Pre-training with one of several objectives on a token store, resumable at every step."""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import keras
from keras import ops

from kbert.checkpoints.directory import Checkpoint, copy_weights, save
from kbert.checkpoints.weights import model_weights, weights_digest
from kbert.config import BertConfig
from kbert.corpus.store import TokenStore
from kbert.engine.backend import engine
from kbert.engine.callbacks import Counter, Curves, HeldOut, Progress, Saves, StopAtNaN
from kbert.engine.cluster import cluster
from kbert.engine.curves import draw_curves
from kbert.engine.logs import LogWriter
from kbert.engine.optimizers import BertLamb, WarmupLinearDecay
from kbert.engine.precision import set_precision
from kbert.engine.saving import last_save, resume, save_step, saved_steps, steps_done
from kbert.engine.training_model import check_divides
from kbert.engine.workers import by_chief, only_chief, together
from kbert.errors import DataError, TrainingError
from kbert.pretraining.initialization import check_initialization, initialize
from kbert.pretraining.masking.token import TokenMasking
from kbert.pretraining.objectives.base import Objective
from kbert.pretraining.objectives.distillation import distilled, teacher_digest
from kbert.pretraining.rows import PretrainingRows
from kbert.pretraining.run_folder import claim
from kbert.pretraining.settings import Phase, PretrainingSettings, Schedule
from kbert.pretraining.watched import Watched, WatchSentences, watched_sentences
from kbert.text.tokenizer_options import TokenizerDescription

OnScores = Callable[[int, Mapping[str, float]], None]


def pretrain(
    store: TokenStore,
    output: str | os.PathLike,
    config: BertConfig,
    settings: PretrainingSettings,
    schedule: Schedule | None = None,
    start: keras.Model | None = None,
    on_scores: OnScores | None = None,
) -> dict:
    """Pre-train a BERT, or go on where a run in `output` stopped.

    Args:
        store: the text.
        output: the run's folder: `steps/` holds the saves, `logs/` the curves for TensorBoard, and
            at the end it is itself a checkpoint of the trained model.
        config: the model.
        settings, schedule: how it trains and reports.
        start: a model whose weights, as far as it has them, the run starts from.
        on_scores: is given the step and the scores of every evaluation on held-out text. What it
            raises ends the run, and is raised again; a later call goes on.

    Returns a summary: `first_step`, where this call began, `steps`, and the last `held_out` scores.
    A store without enough held-out documents for the objective is trained on without scores.
    Raises `DataError` before training for input that does not fit and for an output that another
    process writes, `TrainingError` for a loss that becomes NaN and for a full disk, `Stopped` after
    the save that SIGTERM or Ctrl-C asked for.
    """
    run, schedule = pathlib.Path(output), schedule or Schedule()
    _check(store, config, settings)
    if start is not None and settings.initialization != PretrainingSettings.initialization:
        raise DataError(
            "initialization is of a new model. "
            f"Received: {settings.initialization}, and a model to start from."
        )
    objective = distilled(settings.built(store), settings, store)
    objective.check(config)
    with together(run), engine().gradients_forgotten():
        devices = engine().devices()
        for phase in settings.phases():
            check_divides(phase.batch_size, settings.accumulate, devices.num_replicas_in_sync)
        parts = [
            _part(store, objective, settings, phase, schedule, on_scores)
            for phase in settings.phases()
        ]
        set_precision(settings.precision)
        of_start = None if start is None else weights_digest(start)
        claim(run, store, config, settings, of_start, teacher_digest(settings))
        keras.utils.set_random_seed(settings.seed)
        with devices.scope():
            model = objective.build_model(config, settings.rematerialize)
            if not saved_steps(run):
                _begin(model, start, store, settings)
            training_model = _training_model(model, objective, settings)
        tokenizer = TokenizerDescription(store.vocabulary, store.tokenizer_options)
        checkpoint = Checkpoint(model, tokenizer, config)
        first_step, complaints = resume(run, training_model)
        for complaint in complaints:
            print(complaint)
        held_out = _train(run, parts, settings, schedule, training_model, checkpoint, first_step)
        if not objective.examples.is_pair:
            _complete_segments(model, start)
        by_chief(save)(run, checkpoint)
    return {"first_step": first_step, "steps": steps_done(training_model), "held_out": held_out}


class _Part(NamedTuple):
    """A phase and the batches that it trains on and is scored on; None where it is not scored.

    Attributes:
        watched: sentences that are shown beside the scores; None for none.
        on_scores: is told the scores; None for nobody.
    """

    phase: Phase
    rows: PretrainingRows
    held_out: Any
    watched: Watched | None
    on_scores: OnScores | None

    def tokens_of(self, step: int) -> int:
        """How many positions of the batch of a step are no padding."""
        return self.rows.num_tokens(step - self.phase.first_step)


def _check(store, config, settings):
    if config.vocabulary_size != len(store.vocabulary):
        raise DataError(
            f"The model must have the {len(store.vocabulary)} pieces of the store {store.path}. "
            f"Received: vocabulary_size={config.vocabulary_size}."
        )
    check_initialization(settings.initialization, config)
    if config.architecture != "transformer":
        settings.check_unset("rematerialize", needs="blocks of a Transformer")
    longest = max(phase.sequence_length for phase in settings.phases())
    if longest > config.max_sequence_length:
        raise DataError(
            f"Rows must have at most max_sequence_length={config.max_sequence_length} tokens. "
            f"Received: sequence_length={longest}."
        )


def _part(store, objective, settings, phase, schedule, on_scores) -> _Part:
    shape = {"sequence_length": phase.sequence_length, "batch_size": phase.batch_size}
    rows = PretrainingRows(
        store,
        "train",
        objective,
        **shape,
        seed=settings.seed,
        short_probability=settings.short_probability,
        packing=settings.packing,
        first_row=phase.first_row,
        first_step=phase.first_step,
        num_steps=settings.num_steps,
    )
    if not _is_scored(store, objective):
        return _Part(phase, rows, None, None, None)
    # The same held-out rows every time, masked as the paper does and not packed, so that runs with
    # other settings compare.
    scored = objective.with_masking(TokenMasking(store.vocabulary))
    held_out = PretrainingRows(store, "validation", scored, **shape, seed=0, packing=False)
    batches = _scored_batches(held_out, schedule.validation_batches)
    return _Part(phase, rows, batches, _watched(store, phase), on_scores)


def _watched(store, phase) -> Watched | None:
    """Of a run of one process: the weights of several may be spread over them."""
    if cluster().count > 1:
        return None
    return watched_sentences(store["validation"], store.vocabulary, phase.sequence_length)


def _is_scored(store, objective) -> bool:
    return store["validation"].num_documents >= objective.examples.least_documents


def _scored_batches(rows, num_batches):
    """Batches that are drawn once; their weights sum to 1 over all of them."""
    batches = [rows.batch(number) for number in range(num_batches)]

    def batch(number):
        inputs, targets, weights = batches[number]
        return inputs, targets, {name: value / num_batches for name, value in weights.items()}

    return engine().as_dataset(batch, num_batches)


def _begin(model, start, store, settings):
    """Give a new run's model the weights that it starts with, and say which it does not keep."""
    if start is None:
        initialize(model, settings.initialization, store["train"].tokens)
        return
    copy_weights(start, model)
    had, has = ({path.split("/")[0] for path in model_weights(each)} for each in (start, model))
    if has - had:
        print(f"Begins anew, because the start lacks it: {', '.join(sorted(has - had))}.")
    if had - has:
        print(f"Not kept of the start, an output layer: {', '.join(sorted(had - has))}.")


def _complete_segments(model, start):
    """Give the segments that single texts have not trained what they have trained: the vector of
    the first one, which the second texts of pairs find then, in place of a random one.

    Not where the start knew pairs: it had other vectors for them.
    """
    if start is not None and not _alike(start.get_layer("embedding").segment_table):
        return
    table = model.get_layer("embedding").segment_table
    table.assign(ops.broadcast_to(table[:1], table.shape))


def _alike(table) -> bool:
    rows = ops.convert_to_numpy(table)
    return bool((rows == rows[0]).all())


def _training_model(model, objective: Objective, settings):
    training_model = engine().TrainingModel(
        objective.trained(model),
        objective.sums,
        clip_norm=settings.clip_norm,
        accumulate=settings.accumulate,
        seed=settings.seed,
        jit_step=engine().compile_whole_step(),
        jit_clusters=True,
    )
    rate = WarmupLinearDecay(settings.learning_rate, settings.warmup(), settings.num_steps)
    optimizer = BertLamb if settings.optimizer == "lamb" else engine().Adam
    training_model.compile(
        optimizer(rate, weight_decay=settings.weight_decay, beta_2=settings.beta_2)
    )
    return training_model


def _train(run, parts, settings, schedule, training_model, checkpoint, first_step) -> dict:
    """Train from a step to the end of the last phase. Returns the last held-out scores."""
    if parts[0].held_out is None:
        least = parts[0].rows.examples.least_documents
        print(f"Not scored: the store holds out fewer than {least} documents.")
    held_out = {}
    with LogWriter(only_chief(run / "logs")) as writer:
        hyperparameters = {**checkpoint.config.to_dict(), **dataclasses.asdict(settings)}
        writer.hyperparameters(hyperparameters)
        for part in [part for part in parts if first_step < part.phase.end_step]:
            here = max(first_step, part.phase.first_step)
            callbacks, scored, saves = _callbacks(
                run, part, settings, schedule, training_model, checkpoint, writer, here
            )
            if schedule.profile and here == first_step and only_chief(run):
                callbacks.append(_profiler(run, schedule))
            with saves.listening():
                _fit(training_model, part, here, callbacks)
            held_out = scored.scores if scored else {}
    draw_curves(run / "logs")
    if not held_out and parts[-1].held_out is not None:  # Of a run that was finished already.
        sums = training_model.evaluate_sums(parts[-1].held_out)
        held_out = parts[-1].rows.objective.scores(sums)
    return held_out


def _fit(training_model, part, first_step, callbacks):
    """Train from a step to the end of a phase."""
    steps = engine().as_dataset(
        part.rows.batch, part.phase.end_step - first_step, first_step - part.phase.first_step
    )
    # A step traced for two shapes would not be, bit for bit, the one of a run that is resumed here.
    training_model.make_train_function(force=True)
    training_model.fit(steps, verbose=0, shuffle=False, callbacks=callbacks)


def _callbacks(run, part, settings, schedule, training_model, checkpoint, writer, first_step):
    """For one phase; it is scored and saved at its end, too."""
    counter = Counter(first_step, part.phase.end_step)

    def write_save():
        try:
            writer.flush()
            save_step(run, training_model, checkpoint, schedule.keep)
        except OSError as error:
            raise TrainingError(
                f"Step {counter.step} cannot be saved: {error.strerror or error}. The last good "
                f"checkpoint is {last_save(run)}. Make room, and give the same command again."
            ) from error

    held_out, watching = None, None
    if part.held_out is not None:
        scores_of, every = part.rows.objective.scores, schedule.validate_every
        held_out = HeldOut(part.held_out, writer, counter, every, scores_of, part.on_scores)
    if part.watched is not None:
        watching = WatchSentences(part.watched, writer, counter, schedule.validate_every)
    saves = Saves(write_save, counter, schedule.save_every)
    callbacks = [
        counter,
        StopAtNaN(counter, functools.partial(last_save, run)),
        Progress(counter, "pretrain", settings.num_steps, part.phase.batch_size, part.tokens_of),
        Curves(writer, counter, schedule.log_every, part.tokens_of),
        held_out,
        watching,
        saves,
    ]
    return [each for each in callbacks if each is not None], held_out, saves


def _profiler(run, schedule):
    return keras.callbacks.TensorBoard(
        run / "logs", write_graph=False, profile_batch=schedule.profile
    )
