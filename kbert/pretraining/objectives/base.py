"""What an objective of pre-training is: heads of the model, their targets, the loss."""

import abc
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from kbert.config import BertConfig

if TYPE_CHECKING:
    # Rows are drawn without Keras: an objective imports it in the methods that build and compute.
    import keras

Arrays = dict[str, np.ndarray]


class PlainRows(NamedTuple):
    """Rows of text that an objective makes a batch of; integers.

    Attributes:
        token_ids, segment_ids, padding_mask: (batch, sequence).
        cls_positions: where each pair of a row begins, (batch, sequences a row).
        is_random: whether its second text is from elsewhere.
        is_used: 0 where a row holds no pair.
    """

    token_ids: np.ndarray
    segment_ids: np.ndarray
    padding_mask: np.ndarray
    cls_positions: np.ndarray
    is_random: np.ndarray
    is_used: np.ndarray


class Objective(abc.ABC):
    """What pre-training minimises; one file in this folder.

    Rows, the run and the train step know nothing of any objective but these methods.
    """

    @abc.abstractmethod
    def build_model(self, config: BertConfig, rematerialize: bool = False) -> "keras.Model":
        """A new model with the objective's heads; `rematerialize`: every block, for gradients."""

    @abc.abstractmethod
    def num_draws(self, sequence_length: int) -> int:
        """How many uniform numbers `batch` takes for a row."""

    @abc.abstractmethod
    def batch(self, rows: PlainRows, draws: np.ndarray) -> tuple[Arrays, Arrays, Arrays]:
        """The model's inputs, and each head's targets and weights, which sum to 1.

        Args:
            draws: uniform numbers in [0, 1), (batch, `num_draws(sequence)`).
        """

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
