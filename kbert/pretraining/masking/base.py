"""What all rules of masking share: how many tokens of a row, and what becomes of them."""

import abc
from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple, Self

import numpy as np

from kbert.corpus.store import TokenStore
from kbert.text.vocabulary import SPECIAL_TOKENS

Marks = Mapping[str, np.ndarray]


class Masked(NamedTuple):
    """Rows with their predictions; unused slots hold position 0, target 0 and weight 0.

    Shapes: token_ids (batch, sequence); the others (batch, predictions), sorted by position.
    """

    token_ids: np.ndarray
    positions: np.ndarray
    targets: np.ndarray
    weights: np.ndarray


class Choice(NamedTuple):
    """The tokens that a rule chooses, each (batch, slots); the used slots come first.

    Attributes:
        positions: rising in the used slots, 0 in others.
        used: booleans.
        leader: the slot of the first token of what was chosen together: a word, a span.
    """

    positions: np.ndarray
    used: np.ndarray
    leader: np.ndarray


class Masking(abc.ABC):
    """Chooses tokens of each row and hides them: 80 % [MASK], 10 % a random piece, 10 % unchanged.

    (arXiv 1810.04805, section 3.1 and appendix A.1.) A rule is a file in this folder that says
    which tokens are chosen.

    Args:
        vocabulary: the pieces; a random one is never a special token.
        rate: share of a row's candidates that are chosen, at least one of them.
        final_rate: the share in the last step of a run, to which it changes in a line; None for
            the same.
        masked_share, random_share: of the chosen tokens, that become [MASK], and that become a
            random piece; the rest stays as it is.
        together: draw once for all tokens that are chosen together, not for each, which of the
            three it is; None for the rule's `draws_together`.

    Attributes:
        name: as `kbert pretrain --masking` says it.
        draws_together: what the rule's source does.
        marks: what it wants to be told of each token, of what a store may say.
        is_ordinary: which pieces are no special tokens, (vocabulary,).
    """

    name: ClassVar[str]
    draws_together: ClassVar[bool] = False
    draws_a_token: ClassVar[int] = 1  # uniform numbers for the choice
    marks: tuple[str, ...] = ()

    def __init__(
        self,
        vocabulary: Sequence[str],
        rate: float = 0.15,
        *,
        final_rate: float | None = None,
        masked_share: float = 0.8,
        random_share: float = 0.1,
        together: bool | None = None,
    ):
        self.rate = rate
        self.final_rate = rate if final_rate is None else final_rate
        self.masked_share = masked_share
        self.random_share = random_share
        self.together = self.draws_together if together is None else together
        self.is_ordinary = np.array([piece not in SPECIAL_TOKENS for piece in vocabulary])
        self._ordinary_ids = np.flatnonzero(self.is_ordinary)
        self._mask_id = vocabulary.index("[MASK]")

    @classmethod
    def of(cls, store: TokenStore, **options) -> Self:
        """The rule for a store's text. Raises `DataError` for a store that lacks what it needs."""
        return cls(store.vocabulary, **options)

    def max_predictions(self, sequence_length: int) -> int:
        """How many slots a row needs so that no chosen token is lost."""
        return max(1, int(np.ceil(sequence_length * max(self.rate, self.final_rate))))

    def num_draws(self, sequence_length: int) -> int:
        """How many uniform numbers a row takes: for each token, and two for each slot."""
        slots = self.max_predictions(sequence_length)
        return self.draws_a_token * sequence_length + 2 * slots

    def __call__(
        self,
        token_ids: np.ndarray,
        candidates: np.ndarray,
        draws: np.ndarray,
        progress: float = 0.0,
        marks: Marks | None = None,
    ) -> Masked:
        """Mask rows.

        Args:
            token_ids: integers (batch, sequence), left as they are.
            candidates: booleans (batch, sequence), the tokens that may be chosen.
            draws: uniform numbers in [0, 1), (batch, `num_draws(sequence)`).
            progress: how much of the run is done, from 0 to 1.
            marks: name -> what the store says of each token, (batch, sequence).
        """
        slots = self.max_predictions(token_ids.shape[1])
        ends = np.cumsum([self.draws_a_token * token_ids.shape[1], slots])
        order, action, replacement = np.split(draws, ends, axis=1)
        wanted = self._wanted(candidates, slots, progress)
        positions, used, leader = self._choose(token_ids, candidates, order, wanted, marks or {})
        if self.together:
            action = np.take_along_axis(action, leader, axis=1)
        targets = np.where(used, np.take_along_axis(token_ids, positions, axis=1), 0)
        random_ids = self._ordinary_ids[(replacement * len(self._ordinary_ids)).astype(np.int64)]
        changed = self.masked_share + self.random_share
        hidden = np.where(action < changed, random_ids, targets)
        hidden = np.where(action < self.masked_share, self._mask_id, hidden)
        masked = token_ids.copy()
        rows, columns = np.nonzero(used)
        masked[rows, positions[rows, columns]] = hidden[rows, columns]
        return Masked(masked, positions, targets, used.astype(np.float32))

    def _wanted(self, candidates, slots, progress):
        """How many tokens to choose, (batch,)."""
        rate = self.rate + progress * (self.final_rate - self.rate)
        available = candidates.sum(axis=1)
        wanted = np.maximum(1, np.rint(available * rate)).astype(np.int64)
        return np.minimum(np.minimum(wanted, available), slots)

    @abc.abstractmethod
    def _choose(
        self,
        token_ids: np.ndarray,
        candidates: np.ndarray,
        draws: np.ndarray,
        wanted: np.ndarray,
        marks: Marks,
    ) -> Choice:
        """Which tokens of each row, as many as wanted, or fewer where a whole does not fit.

        Args:
            token_ids, candidates: (batch, sequence).
            draws: uniform numbers in [0, 1), (batch, `draws_a_token` x sequence).
            wanted: integers (batch,).
        """
