"""What a fine-tuning run is told: the paper's recipe (appendix A.3), and remedies for bad luck."""

import dataclasses

from kbert.errors import DataError
from kbert.settings import setting

ADVERSARIES = ("fgm", "pgd")
_STABILITY = "stability (docs/tasks.md)"


@dataclasses.dataclass(frozen=True)
class FinetuningSettings:
    """How a run trains, whatever its task and rows.

    Raises `DataError` for values that cannot be.
    """

    epochs: int = setting(3, "times through the training rows")
    batch_size: int = setting(32, "rows of a step, over all devices")
    learning_rate: float = setting(5e-5, "at the end of the warm-up; falls to 0 in a line")
    warmup_share: float = setting(0.1, "share of the steps in which the rate rises")
    weight_decay: float = setting(0.01, "of all weights but norms and biases")
    original_adam: bool = setting(False, "BERT's Adam, without bias correction")
    encoder_dropout: float = setting(
        0.1, "of hidden values and attention, whatever pre-training had"
    )
    precision: str = setting(
        "float32",
        "of the computation; weights are float32",
        choices=("float32", "bfloat16", "float16"),
    )
    seed: int = setting(0, "of weights, order and dropout")
    layer_decay: float = setting(
        1.0,
        "rate of a layer over that of the one above it; the output layer and the pooler have the "
        "full rate, the embeddings the lowest (arXiv 1801.06146, 2006.05987)",
        group=_STABILITY,
    )
    reinitialize: int | None = setting(
        None,
        "draw the pooler and the top N layers again; 0: the pooler alone (arXiv 2006.05987)",
        type=int,
        group=_STABILITY,
    )
    freeze_embeddings: bool = setting(
        False, "leave the embeddings as they are (arXiv 1911.03090)", group=_STABILITY
    )
    freeze_layers: int = setting(
        0,
        "leave the embeddings and the lowest N layers as they are (arXiv 1911.03090)",
        group=_STABILITY,
    )
    adversary: str | None = setting(
        None,
        "learn from token embeddings that are moved against the model, too: fgm in one step "
        "(arXiv 1605.07725), pgd in several (arXiv 1706.06083)",
        type=str,
        choices=ADVERSARIES,
        group=_STABILITY,
    )
    adversary_radius: float = setting(
        1.0, "length of the move, over the whole token table", group=_STABILITY
    )
    pgd_steps: int = setting(3, "steps of pgd, each one more pass", group=_STABILITY)
    pgd_step_size: float = setting(0.3, "length of a step of pgd", group=_STABILITY)

    def __post_init__(self):
        if self.epochs < 1 or self.batch_size < 1:
            raise DataError(
                "Expected one epoch and a batch of one at least. "
                f"Received: {self.epochs}, {self.batch_size}."
            )
        if not 0 <= self.warmup_share <= 1:
            raise DataError(f"Expected a warm-up share from 0 to 1. Received: {self.warmup_share}.")
        for name in ("learning_rate", "weight_decay", "freeze_layers"):
            if not getattr(self, name) >= 0:
                raise DataError(f"{name} must not be negative. Received: {getattr(self, name)}.")
        if self.reinitialize is not None and self.reinitialize < 0:
            raise DataError(f"reinitialize must not be negative. Received: {self.reinitialize}.")
        if not 0 <= self.seed < 2**32:
            raise DataError(f"seed must be in [0, 2^32). Received: {self.seed}.")
        if not 0 < self.layer_decay <= 1:
            raise DataError(f"layer_decay must be in (0, 1]. Received: {self.layer_decay}.")
        self._check_adversary()

    def _check_adversary(self):
        if self.adversary is not None and self.adversary not in ADVERSARIES:
            raise DataError(
                f"The adversary must be one of {list(ADVERSARIES)}. Received: {self.adversary}."
            )
        if self.adversary is not None and (self.freeze_embeddings or self.freeze_layers):
            raise DataError("An adversary moves the embeddings: they must not be frozen.")
        for name in ("adversary_radius", "pgd_steps", "pgd_step_size"):
            if not getattr(self, name) > 0:
                raise DataError(f"{name} must be above 0. Received: {getattr(self, name)}.")
