"""Pieces of a text with the characters that they stand for."""

from typing import NamedTuple

import numpy as np


class Pieces(NamedTuple):
    """The pieces of one text, int32 (pieces,) each: piece i is `text[starts[i]:ends[i]]`."""

    ids: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
