"""What a pre-training run is told, with the defaults of the paper (appendix A.2)."""

import dataclasses
import itertools
import re

from kbert.errors import DataError
from kbert.settings import setting as _setting

INITIALIZATIONS = ("bert", "corpus")
OPTIMIZERS = ("adam", "lamb")
_CHANGE = re.compile(r"(\d+):(\d+)x(\d+)")


@dataclasses.dataclass(frozen=True)
class Phase:
    """Steps [first_step, end_step) with batches of one shape.

    Attributes:
        batch_size, sequence_length: the shape; rows and tokens of a row.
        first_row: number of its first row; rows are counted on from phase to phase.
    """

    first_step: int
    end_step: int
    batch_size: int
    sequence_length: int
    first_row: int


@dataclasses.dataclass(frozen=True)
class PretrainingSettings:
    """How a run trains; what the model is stands in its BertConfig.

    A run is resumed only with the settings that it was started with. Raises `DataError` for values
    that cannot be.
    """

    num_steps: int = _setting(100_000, "optimizer updates")
    batch_size: int = _setting(256, "rows of an update, over all devices and microbatches")
    sequence_length: int = _setting(128, "tokens of a row")
    then: str = _setting(
        "", "STEP:ROWSxTOKENS,...: batches of another shape from that step on, as 90000:64x512"
    )
    learning_rate: float = _setting(1e-4, "at the end of the warm-up; falls to 0 in a line")
    warmup_steps: int = _setting(10_000, "steps over which the rate rises")
    optimizer: str = _setting("adam", "adam, or lamb for batches of many thousand rows")
    weight_decay: float = _setting(0.01, "of all weights but norms and biases")
    beta_2: float = _setting(0.999, "Adam's memory of squared gradients")
    clip_norm: float = _setting(1.0, "longest gradient over all weights")
    accumulate: int = _setting(1, "microbatches of an update, to save memory")
    rematerialize: bool = _setting(False, "compute blocks again for gradients, to save memory")
    masking_rate: float = _setting(0.15, "share of the tokens to predict")
    short_probability: float = _setting(0.1, "share of the examples of a random smaller length")
    packing: bool = _setting(True, "several examples in a row, so that little of it is padding")
    precision: str = _setting("float32", "float32, bfloat16 or float16 computation")
    initialization: str = _setting("bert", "bert, or corpus: begin with what can be counted")
    seed: int = _setting(0, "of the weights, the rows and dropout")

    def __post_init__(self):
        for name, known in (("initialization", INITIALIZATIONS), ("optimizer", OPTIMIZERS)):
            if getattr(self, name) not in known:
                raise DataError(f"{name} must be one of {known}. Received: {getattr(self, name)}.")
        for name in ("num_steps", "batch_size", "sequence_length", "accumulate"):
            if getattr(self, name) < 1:
                raise DataError(f"{name} must be at least 1. Received: {getattr(self, name)}.")
        if not 0 <= self.seed < 2**32:
            raise DataError(f"seed must be in [0, 2^32). Received: {self.seed}.")
        for name in ("warmup_steps", "weight_decay"):
            if getattr(self, name) < 0:
                raise DataError(f"{name} must not be negative. Received: {getattr(self, name)}.")
        for name in ("learning_rate", "clip_norm"):
            if not getattr(self, name) > 0:
                raise DataError(f"{name} must be above 0. Received: {getattr(self, name)}.")
        for name in ("masking_rate", "short_probability", "beta_2"):
            if not 0 <= getattr(self, name) < 1:
                raise DataError(f"{name} must be in [0, 1). Received: {getattr(self, name)}.")
        self.phases()

    def phases(self) -> list[Phase]:
        """The run's phases, one after another; without `then` it is one."""
        shapes = [(0, self.batch_size, self.sequence_length), *self._changes()]
        ends = [step for step, *_ in shapes[1:]] + [self.num_steps]
        phases, row = [], 0
        for (first, rows, tokens), end in zip(shapes, ends, strict=True):
            phases.append(Phase(first, end, rows, tokens, row))
            row += (end - first) * rows
        return phases

    def _changes(self):
        matches = [_CHANGE.fullmatch(part) for part in self.then.split(",") if self.then]
        changes = [tuple(map(int, match.groups())) for match in matches if match]
        steps = [0, *(step for step, *_ in changes), self.num_steps]
        if not all(matches) or any(0 in change for change in changes):
            raise DataError(
                "then must be STEP:ROWSxTOKENS, or several with commas between them, as "
                f"90000:64x512. Received: {self.then}."
            )
        if changes and not all(one < next_ for one, next_ in itertools.pairwise(steps)):
            raise DataError(
                f"The steps of then must rise, from 1 to below num_steps={self.num_steps}. "
                f"Received: {self.then}."
            )
        return changes


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How often a run reports and saves; it may change when the run is resumed."""

    log_every: int = _setting(50, "steps between points of the training curves")
    validate_every: int = _setting(1000, "steps between scores on held-out documents")
    validation_batches: int = _setting(20, "batches of a held-out score")
    save_every: int = _setting(1000, "steps between saves")
    keep: int = _setting(3, "saves to keep")
    profile: str | None = _setting(
        None, "FIRST,LAST of the steps from now to profile for TensorBoard", type=str
    )

    def __post_init__(self):
        for name in ("log_every", "validate_every", "validation_batches", "save_every", "keep"):
            if getattr(self, name) < 1:
                raise DataError(f"{name} must be at least 1. Received: {getattr(self, name)}.")
        if self.profile is not None and not re.fullmatch(r"[1-9]\d*,[1-9]\d*", self.profile):
            raise DataError(f"profile must be two numbers, FIRST,LAST. Received: {self.profile}.")
