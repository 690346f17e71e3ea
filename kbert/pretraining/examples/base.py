"""What all rules of drawing examples share: spans of a split's tokens, and how many they are."""

import abc
from typing import ClassVar, NamedTuple

import numpy as np

from kbert.corpus.store import Split
from kbert.errors import DataError
from kbert.text.segments import num_special_tokens


class Spans(NamedTuple):
    """The texts of examples as spans of a split's tokens, each (examples,).

    Attributes:
        first_start, first_end: the first text, [first_start, first_end).
        second_start, second_end: the second text; empty where there is none.
        label: the class of a pair, 0 or 1, for the head that reads [CLS]; -1 where it has none.
    """

    first_start: np.ndarray
    first_end: np.ndarray
    second_start: np.ndarray
    second_end: np.ndarray
    label: np.ndarray


class Examples(abc.ABC):
    """How an objective's examples are drawn from the text; one file in this folder.

    Attributes:
        is_pair: whether an example is [CLS] a [SEP] b [SEP]; else it is [CLS] a [SEP].
        num_draws: uniform numbers that an example takes.
        least_documents: that a split must have.
    """

    is_pair: ClassVar[bool]
    num_draws: ClassVar[int]
    least_documents: ClassVar[int] = 1

    @property
    def num_special(self) -> int:
        """Special tokens of an example."""
        return num_special_tokens(self.is_pair)

    def check(self, split: Split, name: str, sequence_length: int) -> None:
        """Raises `DataError` where examples cannot be drawn from a split into rows so long."""
        least = self.num_special + 1 + self.is_pair
        if sequence_length < least:
            raise DataError(
                f"A row must have at least {least} tokens: {self.num_special} special tokens and "
                f"one of each text. Received: sequence_length={sequence_length}."
            )
        if split.num_documents < self.least_documents:
            raise DataError(
                f"The {name} split must have at least {self.least_documents} documents"
                f"{self.why_documents}. Received: {split.num_documents}."
            )

    why_documents: ClassVar[str] = ""

    @abc.abstractmethod
    def draw(
        self,
        split: Split,
        places: np.ndarray,
        draws: np.ndarray,
        *,
        max_tokens: int,
        short_probability: float,
    ) -> Spans:
        """Draw examples.

        Args:
            places: uniform numbers in [0, 1), (examples,): where in the split each starts.
            draws: uniform numbers in [0, 1), (examples, num_draws).
            max_tokens: of both texts together.
            short_probability: of aiming at a random smaller length, so that the model also sees
                short texts (0.1 in BERT's paper).
        """

    def num_tokens(self, spans: Spans) -> np.ndarray:
        """Tokens of each example, special ones included, (examples,)."""
        return sum(lengths(spans)) + self.num_special


def lengths(spans: Spans) -> tuple[np.ndarray, np.ndarray]:
    """Tokens of the first and of the second text of each example, (examples,)."""
    return spans.first_end - spans.first_start, spans.second_end - spans.second_start
