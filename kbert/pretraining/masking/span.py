"""Span masking (SpanBERT, arXiv 1907.10529, section 3.1): words that stand side by side."""

import numpy as np

from kbert.pretraining.masking.whole_word import WholeWordMasking

_CONTINUES = 0.8  # a span goes on with this probability: p = 0.2 in the paper
_MOST_WORDS = 10
_SHARES = _CONTINUES ** np.arange(_MOST_WORDS)
# Of a span's length in words: geometric, without what is longer than the longest.
LENGTH_SHARES = _SHARES / _SHARES.sum()


class SpanMasking(WholeWordMasking):
    """Chooses spans of whole words, until a row has as many predictions as wanted.

    Each begins at a random word. It is shorter than drawn where the text ends, where it meets
    another span, or where the next word does not fit any more. Arguments: as `WholeWordMasking`;
    what becomes of a span is drawn once for all of it, as in the paper.
    """

    name = "span"
    draws_together = True
    draws_a_token = 2  # where spans begin, and how long each is

    def _taken(self, units, keys, draws, wanted):
        batch, sequence = units.size.shape
        begins, lengths = draws[:, :sequence], drawn_lengths(draws[:, sequence:])
        order = np.argsort(np.where(units.size > 0, begins, np.inf), axis=1)
        group, left = np.full((batch, sequence), -1), wanted.copy()
        for anchor in np.ascontiguousarray(order.T):
            self._take_span(units, anchor, lengths, group, left)
            if not left.any():
                break
        size = np.take_along_axis(units.size, order, axis=1)
        row, place = np.nonzero(self._rescued(size, group >= 0))
        group[row, order[row, place]] = order[row, place]
        return np.take_along_axis(group, units.first, axis=1)

    @staticmethod
    def _take_span(units, anchor, lengths, group, left):
        """Give the words from `anchor` on, (batch,), the group of that number, while they fit."""
        rows = np.arange(len(anchor))
        place, open_, words = anchor.copy(), left > 0, lengths[rows, anchor]
        for word in range(_MOST_WORDS):
            size = units.size[rows, place]
            open_ &= (word < words) & (size > 0) & (size <= left) & (group[rows, place] < 0)
            if not open_.any():
                return
            group[rows[open_], place[open_]] = anchor[open_]
            left -= size * open_
            place = place + size * open_
            # A span that reaches the end of its row goes no further.
            open_ &= place < group.shape[1]
            place = np.minimum(place, group.shape[1] - 1)


def drawn_lengths(draws: np.ndarray) -> np.ndarray:
    """Words of a span, 1 to 10, for uniform numbers in [0, 1)."""
    return 1 + np.searchsorted(np.cumsum(LENGTH_SHARES)[:-1], draws, side="right")
