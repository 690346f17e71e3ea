"""What trains: the models, the batches and the train step of a fine-tuning run."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import keras

from kbert.checkpoints.directory import Checkpoint, encoder_of, has_pooler
from kbert.checkpoints.weights import model_weights
from kbert.config import BertConfig
from kbert.engine.backend import engine
from kbert.engine.optimizers import SlantedTriangular, WarmupLinearDecay
from kbert.engine.precision import set_precision
from kbert.engine.training_model import check_divides
from kbert.errors import DataError
from kbert.finetuning.batches import EpochBatches, TrainingBatches, padded_length
from kbert.finetuning.feature_cache import as_vectors, split
from kbert.finetuning.packed_batches import PackedBatches, can_share_rows
from kbert.finetuning.remedies.adversarial import AdversarialTraining
from kbert.finetuning.remedies.augmentation import augmented
from kbert.finetuning.remedies.distillation import objective_of, taught, token_targets
from kbert.finetuning.remedies.layerwise import (
    check_layers,
    first_steps,
    freeze,
    never_moved,
    rate_factors,
    reinitialize,
)
from kbert.finetuning.rows import FinetuningRows
from kbert.finetuning.settings import EpochChoice, FinetuningSettings
from kbert.models import build_encoder
from kbert.tasks.base import Task
from kbert.tasks.features import Feature

# Operations in a layer's products, over the whole run, that pay for one length of its batches: to
# compile a layer takes some two seconds, and saves a sixth of the time of its steps.
_PAYS = 4e12
# Settings of tasks: what of the encoder their output layer reads.
_READ_BY_OUTPUT = ("head", "features")


class Plan(NamedTuple):
    """How a run is done, besides its settings: see `finetune`; `source` as of `read_source`."""

    checkpoint: str
    source: Mapping
    choice: EpochChoice
    from_random: bool = False
    overwrite: bool = False
    silent: bool = False


class Models(NamedTuple):
    """The models of a run, which share their layers.

    Attributes:
        start: the checkpoint that the run starts from, with the run's dropout.
        encoder: the part of `model` below the task.
        model: what answers, and is kept.
        trained: what learns: `model`, or the part of it behind frozen features.
        extractor: the part that computes the frozen features; None without.
        output_layer: whether it is "new" or "of the checkpoint".
    """

    start: Checkpoint
    encoder: keras.Model
    model: keras.Model
    trained: keras.Model
    extractor: keras.Model | None
    output_layer: str


class Run(NamedTuple):
    """All that trains.

    Attributes:
        held_out: what `models.trained` sees of the held-out rows.
        num_steps: from the first to the last, without an early stop.
        trainer: `models.trained`, or the same for packed rows, with its objective and optimizer.
    """

    rows: FinetuningRows
    models: Models
    batches: EpochBatches
    held_out: list[Feature]
    num_steps: int
    trainer: keras.Model


def build_run(
    rows: FinetuningRows, start: Checkpoint, settings: FinetuningSettings, plan: Plan
) -> Run:
    """Everything before the first step. Raises DataError for settings that do not fit."""
    task = rows.task
    if task.features is not None:
        if settings.adversary is not None:
            raise DataError("An adversary moves the embeddings, which `features` freeze.")
        of_layers = ("layer_decay", "unfreeze_every", "freeze_embeddings", "freeze_layers")
        settings.check_unset(*of_layers, needs="an encoder that learns, which `features` freeze")
    devices = engine().devices()
    check_divides(settings.batch_size, settings.accumulate, devices.num_replicas_in_sync)
    set_precision(settings.precision)
    keras.utils.set_random_seed(settings.seed)
    with devices.scope():
        models = _models(task, start, settings, plan.from_random)
    rows = augmented(rows, start, settings)
    features, held_out = taught(rows, start, settings), rows.validation_features
    if models.extractor is not None:
        features, held_out = (
            as_vectors(
                models.extractor,
                part,
                models.start.config,
                rows.cache,
                settings.batch_size,
                plan.silent,
            )
            for part in (features, held_out)
        )
    learned_from = features, settings.batch_size, settings.seed, task.sequence_length
    packed = _packed(models, task, features, settings)
    if packed is None:
        batches = TrainingBatches(*learned_from, token_targets(task))
        compiled = models.extractor is None and _pays_to_compile(features, start.config, settings)
    else:
        parts = settings.accumulate * devices.num_replicas_in_sync
        of_texts = "cls_positions" in packed.input
        batches = PackedBatches(*learned_from, token_targets(task), of_texts=of_texts, parts=parts)
        compiled = True
    num_steps = settings.epochs * len(batches)
    if settings.max_steps is not None:
        num_steps = min(num_steps, settings.max_steps)
    late = never_moved(models.encoder, settings.unfreeze_every, len(batches), num_steps)
    if late and not plan.silent:
        print(
            f"The run ends before these begin to learn: {', '.join(late)}. More epochs, or fewer "
            "between two layers (--unfreeze-every), would let them."
        )
    with devices.scope():
        steps = len(batches), num_steps
        trainer = _trainer(models, packed or models.trained, task, settings, steps, compiled)
    return Run(rows, models, batches, held_out, num_steps, trainer)


def _models(
    task: Task, start: Checkpoint, settings: FinetuningSettings, from_random: bool
) -> Models:
    start = _with_dropout(start, settings.encoder_dropout)
    check_layers(start.config, settings)
    encoder = build_encoder(start.config) if from_random else encoder_of(start)
    if settings.reinitialize is not None:
        reinitialize(encoder, start.config, settings.reinitialize)
    freeze(encoder, settings.freeze_embeddings, settings.freeze_layers)
    model = task.build_model(encoder)
    if settings.reinitialize == 0 and not has_pooler(model):
        raise DataError("reinitialize=0 draws the pooler again, which the task does not read.")
    kept = not from_random and settings.reinitialize is None
    kept = kept and _take_output_layer(task, start, encoder, model)
    extractor, trained = (None, model) if task.features is None else split(model)
    output_layer = "of the checkpoint" if kept else "new"
    return Models(start, encoder, model, trained, extractor, output_layer)


def _packed(
    models: Models, task: Task, features: Sequence[Feature], settings: FinetuningSettings
) -> keras.Model | None:
    """What trains on rows that several features share, where they can and that pays."""
    if models.extractor is not None or not can_share_rows(features):
        return None
    if not _pays(features, models.start.config, settings, num_shapes=1):
        return None
    return task.packed(models.model, models.encoder)


def _pays_to_compile(
    features: Sequence[Feature], config: BertConfig, settings: FinetuningSettings
) -> bool:
    """Whether it pays to compile each length of batches that are not packed."""
    if engine().compile_whole_step():
        return False
    lengths = [feature.length for feature in features]
    shapes = {padded_length(length, config.max_sequence_length) for length in lengths}
    return _pays(features, config, settings, len(shapes))


def _pays(
    features: Sequence[Feature], config: BertConfig, settings: FinetuningSettings, num_shapes: int
) -> bool:
    """Whether what XLA saves in a run's steps is more than what compiling them takes.

    A function of the rows and the model alone: the same run gives the same weights everywhere.
    """
    tokens = sum(feature.length * feature.width for feature in features) * settings.epochs
    if settings.max_steps is not None:
        most = settings.epochs * len(features)
        tokens *= min(1, settings.max_steps * settings.batch_size / most)
    weights = config.hidden_dim * (4 * config.hidden_dim + 2 * config.intermediate_dim)
    return 6 * weights * tokens > _PAYS * num_shapes


def _trainer(
    models: Models,
    trained: keras.Model,
    task: Task,
    settings: FinetuningSettings,
    steps: tuple[int, int],
    compiled: bool,
) -> keras.Model:
    """`trained` with its train step, which an adversary makes longer, and its optimizer.

    `steps` are those of an epoch and of the run.
    """
    steps_per_epoch, num_steps = steps
    options = {
        "accumulate": settings.accumulate,
        "seed": settings.seed,
        "jit_clusters": compiled,
    }
    objective = objective_of(task, settings)
    if settings.adversary is None:
        trainer = engine().TrainingModel(trained, objective, **options)
    else:
        several = {"steps": settings.pgd_steps, "step_size": settings.pgd_step_size}
        trainer = AdversarialTraining(
            trained,
            objective,
            models.encoder.get_layer("embedding").token_table,
            settings.adversary_radius,
            **(several if settings.adversary == "pgd" else {}),
            **options,
        )
    warmup = round(settings.warmup_share * num_steps)
    schedule = SlantedTriangular if settings.schedule == "slanted-triangular" else WarmupLinearDecay
    trainer.compile(
        engine().Adam(
            schedule(settings.learning_rate, warmup, num_steps),
            settings.weight_decay,
            bias_correction=not settings.original_adam,
            rate_factors=rate_factors(models.encoder, settings.layer_decay),
            first_steps=first_steps(models.encoder, settings.unfreeze_every, steps_per_epoch),
        )
    )
    return trainer


def _with_dropout(checkpoint: Checkpoint, rate: float) -> Checkpoint:
    """The checkpoint with another dropout in its configuration."""
    config = dataclasses.replace(checkpoint.config, dropout=rate, attention_dropout=rate)
    return checkpoint._replace(config=config)


def _take_output_layer(
    task: Task, start: Checkpoint, encoder: keras.Model, model: keras.Model
) -> bool:
    """Copy what is above the encoder from a model of the same task and labels, if it is one."""
    if start.task is None or start.task.name != task.name:
        return False
    # It means the same, and reads the same of the encoder.
    settings = (*task.output_settings, *_READ_BY_OUTPUT)
    if any(getattr(start.task, name, None) != getattr(task, name, None) for name in settings):
        return False
    found, below = model_weights(start.model), model_weights(encoder)
    own = {name: weight for name, weight in model_weights(model).items() if name not in below}
    if any(name not in found or found[name].shape != own[name].shape for name in own):
        return False
    for name, weight in own.items():
        weight.assign(found[name])
    return True
