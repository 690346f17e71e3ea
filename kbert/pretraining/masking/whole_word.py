"""Whole-word masking (google-research/bert, May 2019): a word's pieces are chosen together."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kbert.corpus.marks import begins_word
from kbert.corpus.store import TokenStore
from kbert.errors import DataError
from kbert.pretraining.masking.base import Choice, Masking


class Units(NamedTuple):
    """What is chosen as a whole: candidates that stand side by side, as those of a word.

    Attributes:
        first: the position of the first token of each token's unit, (batch, sequence); of what is
            no candidate its own.
        size: tokens of the unit that begins at a position, (batch, sequence); 0 where none does.
    """

    first: np.ndarray
    size: np.ndarray


class WholeWordMasking(Masking):
    """Chooses words in a random order, and passes over those that are too long for what is left.

    Google's rule: a row never has more predictions than wanted, and a word is never cut. Where not
    even one word fits, the first that fits into the row's slots is taken.

    Args:
        stored_words: words are what the store says (`kbert prepare --words`); else a word is a
            piece and what follows it with "##".
    """

    name = "whole-word"

    def __init__(self, vocabulary: Sequence[str], *args, stored_words: bool = False, **options):
        super().__init__(vocabulary, *args, **options)
        self._begins_word = begins_word(vocabulary)
        self._stored_words = stored_words
        self.marks = ("words",) if stored_words else ()

    @classmethod
    def of(cls, store: TokenStore, **options):
        masking = super().of(store, **options)
        for mark in masking.marks:
            if mark not in store.marks:
                raise DataError(
                    f"{store.path} must be a store that kbert prepare wrote with --{mark}, for the "
                    f"masking {cls.name}: it does not say where {mark} begin."
                )
        return masking

    def _choose(self, token_ids, candidates, draws, wanted, marks):
        units = self._units(candidates, self._begins(token_ids, marks))
        group = self._taken(units, self._keys(token_ids, units, draws), draws, wanted)
        return _choice(group, self.max_predictions(token_ids.shape[1]))

    def _begins(self, token_ids, marks):
        """Where a unit begins, if its tokens are candidates: booleans (batch, sequence)."""
        return marks["words"] == 1 if self._stored_words else self._begins_word[token_ids]

    @staticmethod
    def _units(candidates, begins) -> Units:
        batch, sequence = candidates.shape
        before = np.pad(candidates[:, :-1], ((0, 0), (1, 0)))
        # Behind what is no candidate a unit begins, whatever the token: a text may be cut anywhere.
        begins = begins | ~before | ~candidates
        place = np.arange(sequence)
        first = np.maximum.accumulate(np.where(begins, place, 0), axis=1)
        row = np.arange(batch)[:, None] * sequence
        size = np.bincount((row + first)[candidates], minlength=batch * sequence)
        return Units(first, size.reshape(batch, sequence))

    def _keys(self, token_ids, units, draws):
        """Numbers at the first token of each unit; the smallest is taken first."""
        return draws

    def _taken(self, units, keys, draws, wanted) -> np.ndarray:
        """The group of each token that is chosen, else -1: the position of its first token."""
        order = np.argsort(np.where(units.size > 0, keys, np.inf), axis=1)
        size = np.take_along_axis(units.size, order, axis=1)
        taken = _first_that_fit(size, wanted)
        taken |= self._rescued(size, taken)
        is_taken = np.zeros_like(taken)
        np.put_along_axis(is_taken, order, taken, axis=1)
        return np.where(np.take_along_axis(is_taken, units.first, axis=1), units.first, -1)

    def _rescued(self, size, taken):
        """Where nothing was taken, the first unit of the order that the row's slots hold."""
        fits = (size > 0) & (size <= self.max_predictions(size.shape[1]))
        fits &= ~taken.any(axis=1, keepdims=True)
        return fits & (fits.cumsum(axis=1) == 1)


def _first_that_fit(size, wanted):
    """Which units of an order are taken one after another while they fit: (batch, units)."""
    taken, left = np.zeros(size.T.shape, bool), wanted.copy()
    for here, of_unit in zip(taken, np.ascontiguousarray(size.T), strict=True):
        here[:] = (of_unit > 0) & (of_unit <= left)
        left -= of_unit * here
        if not left.any():
            break
    return taken.T


def _choice(group: np.ndarray, num_slots: int) -> Choice:
    """The slots of the tokens that have a group."""
    slots = np.arange(num_slots)
    positions = np.argsort(group < 0, axis=1, kind="stable")[:, :num_slots]
    used = slots < (group >= 0).sum(axis=1)[:, None]
    positions = np.where(used, positions, 0)
    groups = np.take_along_axis(group, positions, axis=1)
    is_first = np.pad(groups[:, 1:] != groups[:, :-1], ((0, 0), (1, 0)), constant_values=True)
    return Choice(positions, used, np.maximum.accumulate(np.where(is_first, slots, 0), axis=1))
