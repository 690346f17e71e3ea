"""What all rules of masking share: how many tokens of a row, and what becomes of them."""

import abc
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kbert.text.vocabulary import SPECIAL_TOKENS

MASKED_SHARE, RANDOM_SHARE = 0.8, 0.1  # of the chosen tokens; the rest stays as it is


class Masked(NamedTuple):
    """Rows with their predictions; unused slots hold position 0, target 0 and weight 0.

    Shapes: token_ids (batch, sequence); the others (batch, predictions), sorted by position.
    """

    token_ids: np.ndarray
    positions: np.ndarray
    targets: np.ndarray
    weights: np.ndarray


class Masking(abc.ABC):
    """Chooses tokens of each row and hides them: 80 % [MASK], 10 % a random piece, 10 % unchanged.

    (arXiv 1810.04805, section 3.1 and appendix A.1.) A rule is a file in this folder that says
    which tokens are chosen.

    Args:
        vocabulary: the pieces; a random one is never a special token.
        rate: share of a row's candidates that are chosen, at least one of them.

    Attributes:
        is_ordinary: which pieces are no special tokens, (vocabulary,).
    """

    def __init__(self, vocabulary: Sequence[str], rate: float = 0.15):
        self.rate = rate
        self.is_ordinary = np.array([piece not in SPECIAL_TOKENS for piece in vocabulary])
        self._ordinary_ids = np.flatnonzero(self.is_ordinary)
        self._mask_id = vocabulary.index("[MASK]")

    def max_predictions(self, sequence_length: int) -> int:
        """How many slots a row needs so that no chosen token is lost."""
        return max(1, int(np.ceil(sequence_length * self.rate)))

    def num_draws(self, sequence_length: int) -> int:
        """How many uniform numbers a row takes: one a token, and two a slot."""
        return sequence_length + 2 * self.max_predictions(sequence_length)

    def __call__(self, token_ids: np.ndarray, candidates: np.ndarray, draws: np.ndarray) -> Masked:
        """Mask rows.

        Args:
            token_ids: integers (batch, sequence), left as they are.
            candidates: booleans (batch, sequence), the tokens that may be chosen.
            draws: uniform numbers in [0, 1), (batch, `num_draws(sequence)`).
        """
        sequence = token_ids.shape[1]
        slots = self.max_predictions(sequence)
        order, action, replacement = np.split(draws, [sequence, sequence + slots], axis=1)
        positions, used = self._choose(token_ids, candidates, order, slots)
        targets = np.where(used, np.take_along_axis(token_ids, positions, axis=1), 0)
        random_ids = self._ordinary_ids[(replacement * len(self._ordinary_ids)).astype(np.int64)]
        hidden = np.where(action < MASKED_SHARE + RANDOM_SHARE, random_ids, targets)
        hidden = np.where(action < MASKED_SHARE, self._mask_id, hidden)
        masked = token_ids.copy()
        rows, columns = np.nonzero(used)
        masked[rows, positions[rows, columns]] = hidden[rows, columns]
        return Masked(masked, positions, targets, used.astype(np.float32))

    @abc.abstractmethod
    def _choose(
        self, token_ids: np.ndarray, candidates: np.ndarray, draws: np.ndarray, slots: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Positions, rising in the used slots and 0 in others, and which are used.

        Args:
            token_ids, candidates, draws: (batch, sequence).

        Returns:
            Two arrays (batch, slots); the used slots come first.
        """
