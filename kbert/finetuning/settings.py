"""What a fine-tuning run is told: the paper's recipe (appendix A.3), and remedies for bad luck."""

import dataclasses
import os

from kbert.engine.precision import PRECISIONS
from kbert.errors import DataError
from kbert.settings import Settings, setting
from kbert.tasks.heads.encoder_features import GROUP as FEATURE_GROUP

SCHEDULES = ("linear", "slanted-triangular")
ADVERSARIES = ("fgm", "pgd")
FEATURE_TYPES = ("float32", "float16")
AUGMENTATIONS = ("delete", "swap", "fill")
# Settings that change nothing of what a run finds.
WITHOUT_EFFECT = ("log_every", "save_every")
_AUGMENTATION = "more rows of few"
_DISTILLATION = "distillation"
_STABILITY = "stability (docs/tasks.md)"
_ROWS = "rows"


@dataclasses.dataclass(frozen=True)
class RowSettings(Settings):
    """Which rows a run learns from and is scored on."""

    validation_share: float = setting(
        0.1,
        "share of the training rows to hold out where there is no validation file; 0 for none",
        group=_ROWS,
        at_least=0,
        below=1,
    )
    limit: int | None = setting(
        None,
        "use N rows, drawn by the seed, those held out among them",
        unset="all",
        group=_ROWS,
        at_least=1,
    )


@dataclasses.dataclass(frozen=True)
class FeatureSettings(Settings):
    """Where the features of a frozen encoder are kept, for tasks that have them."""

    feature_cache: str | os.PathLike | None = setting(
        None,
        "keep the features there and find them again",
        unset="in memory",
        group=FEATURE_GROUP,
        metavar="FOLDER",
    )
    feature_type: str = setting(
        "float32",
        "how they are kept; float16 takes half of the room and rounds",
        choices=FEATURE_TYPES,
        group=FEATURE_GROUP,
    )


@dataclasses.dataclass(frozen=True)
class EpochChoice(Settings):
    """How the epoch to keep is chosen, on the held-out rows."""

    metric: str | None = setting(None, "the epoch with the best one is kept", unset="the first")
    patience: int | None = setting(
        None, "stop after N epochs without a better one", unset="never", at_least=1
    )


@dataclasses.dataclass(frozen=True)
class FinetuningSettings(Settings):
    """How a run trains, whatever its task and rows."""

    epochs: int = setting(3, "times through the training rows", at_least=1)
    batch_size: int = setting(32, "rows of a step, over all devices", at_least=1)
    accumulate: int = setting(
        1, "microbatches of a step, one after another, to save memory", at_least=1
    )
    max_steps: int | None = setting(
        None, "stop after N steps, if the epochs have more", unset="none", at_least=1
    )
    learning_rate: float | None = setting(
        None,
        "at the end of the warm-up, from where it falls in a line",
        unset="what fits the encoder's width, 5e-5 for base",
        at_least=0,
    )
    warmup_share: float = setting(
        0.1, "share of the steps in which the rate rises", at_least=0, at_most=1
    )
    schedule: str = setting(
        "linear",
        "the rate rises from 0 and falls to 0, or slanted-triangular: from and to a 32nd of it "
        "(arXiv 1801.06146)",
        choices=SCHEDULES,
    )
    weight_decay: float = setting(0.01, "of all weights but norms and biases", at_least=0)
    original_adam: bool = setting(False, "BERT's Adam, without bias correction")
    encoder_dropout: float = setting(
        0.1, "of hidden values and attention, whatever pre-training had", at_least=0, below=1
    )
    precision: str = setting(
        "float32", "of the computation; weights are float32", choices=PRECISIONS
    )
    seed: int = setting(0, "of weights, order and dropout", at_least=0, at_most=2**32 - 1)
    log_every: int = setting(10, "steps between points of the training curves", at_least=1)
    save_every: int = setting(
        1000, "steps between saves; there is one after each epoch, too", at_least=1
    )
    layer_decay: float = setting(
        1.0,
        "rate of a layer over that of the one above it; the output layer and the pooler have the "
        "full rate, the embeddings the lowest (arXiv 1801.06146, 2006.05987)",
        group=_STABILITY,
        above=0,
        at_most=1,
    )
    reinitialize: int | None = setting(
        None,
        "draw the pooler and the top N layers again; 0: the pooler alone (arXiv 2006.05987)",
        unset="nothing",
        group=_STABILITY,
        at_least=0,
    )
    freeze_embeddings: bool = setting(
        False, "leave the embeddings as they are (arXiv 1911.03090)", group=_STABILITY
    )
    freeze_layers: int = setting(
        0,
        "leave the embeddings and the lowest N layers as they are (arXiv 1911.03090)",
        unset="0: nothing",
        group=_STABILITY,
        at_least=0,
    )
    unfreeze_every: float | None = setting(
        None,
        "gradual unfreezing: a layer begins to learn N epochs after the one above it, first the "
        "output layer and the pooler alone (arXiv 1801.06146, where N is 1)",
        unset="all learn at once",
        group=_STABILITY,
        metavar="N",
        above=0,
    )
    adversary: str | None = setting(
        None,
        "learn from token embeddings that are moved against the model, too: fgm in one step "
        "(arXiv 1605.07725), pgd in several (arXiv 1706.06083)",
        unset="none",
        choices=ADVERSARIES,
        group=_STABILITY,
    )
    adversary_radius: float = setting(
        1.0, "length of the move, over the whole token table", group=_STABILITY, above=0
    )
    pgd_steps: int = setting(3, "steps of pgd, each one more pass", group=_STABILITY, at_least=1)
    pgd_step_size: float = setting(0.3, "length of a step of pgd", group=_STABILITY, above=0)

    augment: int = setting(
        0, "changed copies of each training text", group=_AUGMENTATION, at_least=0
    )
    augment_by: tuple[str, ...] = setting(
        ("delete", "swap"),
        "what changes a copy, drawn for each: words are left out, change places, or are filled in "
        "by the checkpoint's masked LM (arXiv 1901.11196, 1812.06705)",
        choices=AUGMENTATIONS,
        group=_AUGMENTATION,
    )
    augment_share: float = setting(
        0.1, "of the words that are changed", group=_AUGMENTATION, above=0, at_most=1
    )
    teacher: tuple[str, ...] | None = setting(
        None,
        "fine-tuned models of the task to learn from, too; of several, from the mean of their "
        "answers (arXiv 1503.02531)",
        unset="none",
        group=_DISTILLATION,
        metavar="CHECKPOINT",
    )
    teacher_share: float = setting(
        0.5,
        "of the loss that compares with the teachers; 1 does without labels",
        group=_DISTILLATION,
        at_least=0,
        at_most=1,
    )
    teacher_temperature: float = setting(
        2.0,
        "by which both sides' logits are divided: above 1, unlikely labels count more",
        group=_DISTILLATION,
        above=0,
    )

    def __post_init__(self):
        super().__post_init__()
        if self.adversary is not None and (self.freeze_embeddings or self.freeze_layers):
            raise DataError("An adversary moves the embeddings: they must not be frozen.")
        if self.adversary is None:
            self.check_unset("adversary_radius", needs="an adversary")
        if self.adversary != "pgd":
            self.check_unset("pgd_steps", "pgd_step_size", needs="the adversary pgd")
        if not self.augment:
            self.check_unset("augment_by", "augment_share", needs="augment")
        if not self.teacher:
            self.check_unset("teacher_share", "teacher_temperature", needs="a teacher")


@dataclasses.dataclass(frozen=True)
class Restarts(Settings):
    """How often a run begins anew: on few rows luck decides."""

    seeds: int | None = setting(
        None, "train with N seeds from --seed on, keep the best", unset="one run", at_least=1
    )


@dataclasses.dataclass(frozen=True)
class Grid(Settings):
    """Values of which a sweep tries every combination: those of the paper (appendix A.3)."""

    batch_size: tuple[int, ...] = setting(
        (16, 32), "rows of a step, one or more", group="grid", at_least=1
    )
    learning_rate: tuple[float, ...] | None = setting(
        None,
        "one or more",
        unset="1, 0.6 and 0.4 times kbert finetune's, so 5e-5 3e-5 2e-5 for base",
        group="grid",
        at_least=0,
    )
    epochs: tuple[int, ...] = setting((2, 3, 4), "one or more", group="grid", at_least=1)
