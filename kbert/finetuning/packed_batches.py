"""Batches whose rows hold several features each: all of one shape, and with little padding.

Features do not see each other (`padding_mask` numbers them), so they train as they would in rows of
their own (arXiv 2107.02027). One shape is compiled once.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kbert.finetuning.batches import EpochBatches
from kbert.tasks.features import MULTIPLE, Arrays, Feature, summing_to_one
from kbert.text.packing import pack

# Attention computes a row's length of scores for each token. Up to here that costs less than what
# packing saves: positions of a row, and times the mean length.
_SHORT, _TIMES_MEAN = 128, 3


class Layout(NamedTuple):
    """Where the features of every batch stand, the longest first.

    Attributes:
        shape: rows, and positions of each.
        row, start: of each feature.
        place: its number within its row, from 0.
    """

    shape: tuple[int, int]
    row: np.ndarray
    start: np.ndarray
    place: np.ndarray


def can_share_rows(features: Sequence[Feature]) -> bool:
    """Whether rows as long as the longest feature are short enough for attention."""
    lengths = [feature.length for feature in features]
    return max(lengths) <= max(_SHORT, _TIMES_MEAN * np.mean(lengths))


class PackedBatches(EpochBatches):
    """Batches of one shape. `features` are of one sequence each, and a batch has at most
    `batch_size`.

    The features are sorted by length and cut into as many parts as a batch has features; each batch
    draws one of each part, without replacement. So all batches have nearly the same tokens, and
    what fits the longest of each part fits every batch. Some have a feature less than others.

    Inputs are (rows, positions); targets and weights (rows, features a row, ...), those of tokens
    (rows, positions). The weights of each name sum to 1; where no feature stands, they are 0.

    Args, besides those of EpochBatches:
        of_texts: whether the model asks for `cls_positions` (rows, features a row), too.
        parts: how many equal parts the rows are divided into, over devices and microbatches.
    """

    one_shape = True

    def __init__(self, *args, of_texts: bool = True, parts: int = 1):
        super().__init__(*args)
        self.of_texts = of_texts
        lengths = np.array([feature.length for feature in self.features])
        order = np.argsort(-lengths, kind="stable")
        self._alike = [order[i : i + len(self)] for i in range(0, len(order), len(self))]
        self.layout = _layout(lengths[[part[0] for part in self._alike]], self.limit, parts)

    def draw(self, epoch: int) -> list[np.ndarray]:
        rng = np.random.default_rng([self.seed, epoch])
        drawn = np.full((len(self._alike), len(self)), -1)
        for part, alike in zip(drawn, self._alike, strict=True):
            part[rng.permutation(len(self))[: len(alike)]] = alike
        return [batch[batch >= 0] for batch in drawn.T]

    def __call__(self, number: int) -> tuple[Arrays, Arrays, Arrays]:
        chosen, layout = self.chosen(number), self.layout
        inputs = {name: self._by_token(chosen, "inputs", name) for name in chosen[0].inputs}
        slots = layout.shape[0], layout.place.max() + 1
        if self.of_texts:
            inputs["cls_positions"] = np.zeros(slots, "int32")
            inputs["cls_positions"][layout.row, layout.place] = layout.start
        targets, weights = (
            {
                name: self._by_token(chosen, kind, name)
                if name in self.token_targets
                else self._by_feature(chosen, kind, name, slots)
                for name in getattr(chosen[0], kind)
            }
            for kind in ("targets", "weights")
        )
        return inputs, targets, summing_to_one(weights)

    def _by_token(self, chosen, kind, name):
        arrays = [getattr(feature, kind)[name] for feature in chosen]
        found = np.zeros((*self.layout.shape, *arrays[0].shape[1:]), arrays[0].dtype)
        for array, row, start, place in zip(arrays, *self.layout[1:], strict=False):
            # The mask's numbers keep the features of a row apart.
            number = place + 1 if name == "padding_mask" else 1
            found[row, start : start + len(array)] = array * number
        return found

    def _by_feature(self, chosen, kind, name, slots):
        arrays = np.stack([getattr(feature, kind)[name] for feature in chosen])
        found = np.zeros((*slots, *arrays.shape[1:]), arrays.dtype)
        found[self.layout.row[: len(arrays)], self.layout.place[: len(arrays)]] = arrays
        return found


def _layout(longest: np.ndarray, limit: int, parts: int) -> Layout:
    """Room for features of these lengths, of which the first is the longest: (features,)."""
    positions = min(-(-int(longest[0]) // MULTIPLE) * MULTIPLE, limit)
    row = pack(longest, positions, len(longest))
    start, place = np.zeros_like(row), np.zeros_like(row)
    for number in range(row.max() + 1):
        here = np.flatnonzero(row == number)
        start[here] = np.cumsum(longest[here]) - longest[here]
        place[here] = np.arange(len(here))
    rows = -(-(int(row.max()) + 1) // parts) * parts
    return Layout((rows, positions), row, start, place)
