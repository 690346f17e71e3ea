"""What an objective of pre-training is: its rows, the model's heads, their targets, the loss."""

import abc
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from kbert.config import BertConfig
from kbert.errors import DataError
from kbert.pretraining.examples.base import Examples
from kbert.pretraining.masking.base import Masked, Masking

if TYPE_CHECKING:
    # Rows are drawn without Keras: an objective imports it in the methods that build and compute.
    import keras

Arrays = dict[str, np.ndarray]
# The outputs of a model that are scores of the vocabulary.
VOCABULARY_HEADS = ("masked_lm", "next_token", "previous_token")


class PlainRows(NamedTuple):
    """Rows of text that an objective makes a batch of; integers.

    Attributes:
        token_ids, segment_ids, padding_mask: (batch, sequence).
        cls_positions: where each example of a row begins, (batch, sequences a row).
        labels: the class of each example, (batch, sequences a row); -1 where it has none, and where
            a row holds no example.
        marks: name -> what the store says of each token, (batch, sequence).
    """

    token_ids: np.ndarray
    segment_ids: np.ndarray
    padding_mask: np.ndarray
    cls_positions: np.ndarray
    labels: np.ndarray
    marks: Mapping[str, np.ndarray]


class Objective(abc.ABC):
    """What pre-training minimises; one file in this folder.

    Rows, the run and the train step know nothing of any objective but what stands here.

    Args:
        masking: which tokens are predicted, and what is seen in their places.

    Attributes:
        name: as `kbert pretrain --objective` and a checkpoint say it; `kbert.models` builds its
            heads.
        examples: how the texts of its rows are drawn.
        hides: whether it hides tokens, so that a masking means something.
        direction: what a token may see (`BertConfig.direction`), where only one makes sense.
        marks: what it wants to be told of each token (`PlainRows.marks`).
    """

    name: ClassVar[str]
    examples: ClassVar[Examples]
    hides: ClassVar[bool] = True
    direction: ClassVar[str | None] = None

    def __init__(self, masking: Masking):
        self.masking = masking

    @property
    def marks(self) -> tuple[str, ...]:
        return self.masking.marks

    def check(self, config: BertConfig) -> None:
        """Raises `DataError` for an encoder that the objective cannot train."""
        if self.direction not in (None, config.direction):
            raise DataError(
                f"The objective {self.name} must have the direction {self.direction}. "
                f"Received: {config.direction}."
            )

    def build_model(self, config: BertConfig, rematerialize: bool = False) -> "keras.Model":
        """A new model with the objective's heads; `rematerialize`: every block, for gradients."""
        from kbert.models import build_pretraining_model

        return build_pretraining_model(config, rematerialize, self.name)

    def trained(self, model: "keras.Model") -> "keras.Model":
        """What the train step computes of a model of `build_model`: `sums` takes its outputs."""
        return model

    def with_masking(self, masking: Masking) -> "Objective":
        """The same objective with another masking."""
        return type(self)(masking)

    def num_draws(self, sequence_length: int) -> int:
        """How many uniform numbers `batch` takes for a row."""
        return self.masking.num_draws(sequence_length)

    @abc.abstractmethod
    def batch(
        self, rows: PlainRows, draws: np.ndarray, progress: float = 0.0
    ) -> tuple[Arrays, Arrays, Arrays]:
        """The model's inputs, and each head's targets and weights, which sum to 1.

        Args:
            draws: uniform numbers in [0, 1), (batch, `num_draws(sequence)`).
            progress: how much of the run is done, 0 in its first step and 1 in its last.
        """

    def _masked(self, rows: PlainRows, draws: np.ndarray, progress: float) -> Masked:
        # The tokens of a row are masked together, whichever texts they belong to: so every row has
        # 15 % of them, and none too many for its slots.
        candidates = (rows.padding_mask > 0) & self.masking.is_ordinary[rows.token_ids]
        return self.masking(rows.token_ids, candidates, draws, progress, rows.marks)

    @staticmethod
    def sums(outputs: Mapping, targets: Mapping, weights: Mapping) -> dict:
        """Weighted sums of each head's loss and accuracy; "loss" is the sum of the losses.

        The progress bar and TensorBoard's curves have these names. Weights that sum to 1 over a
        batch make them means, and the sums of its parts add up.

        Args:
            outputs: float32 logits of each head, (batch, slots, classes).
            targets: integers (batch, slots).
            weights: float32 (batch, slots); 0 where a slot is unused.
        """
        from kbert.layers.losses import weighted_cross_entropy

        sums = {}
        for name, logits in outputs.items():
            loss, accuracy = weighted_cross_entropy(logits, targets[name], weights[name])
            sums[f"{name}_loss"], sums[f"{name}_accuracy"] = loss, accuracy
        return {"loss": sum(sums[f"{name}_loss"] for name in outputs), **sums}

    @staticmethod
    def scores(sums: Mapping[str, float]) -> dict[str, float]:
        """What held-out text is scored by: its sums, and the perplexity of each loss over pieces.

        `masked_lm_perplexity` is what the paper's table 6 calls the perplexity of a masked LM: of
        the pieces that are predicted together. A pseudo-perplexity, which predicts each piece from
        all others, is another number (`kbert perplexity`).
        """
        losses = [name for name in VOCABULARY_HEADS if f"{name}_loss" in sums]
        perplexities = {f"{name}_perplexity": _exp(sums[f"{name}_loss"]) for name in losses}
        return {**sums, **perplexities}


def score_names(heads: Iterable[str]) -> list[str]:
    """The names of what `Objective.scores` gives for a model with these heads."""
    sums = {f"{head}_{score}": 0.0 for head in heads for score in ("loss", "accuracy")}
    return list(Objective.scores({"loss": 0.0, **sums}))


def normalized(counted: np.ndarray) -> np.ndarray:
    """Weights that sum to 1 where any slot counts."""
    return counted / max(counted.sum(), 1)


def _exp(loss: float) -> float:
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf
