"""From places in normalised text back to the characters of the original text.

Normalisation drops and decomposes characters ("é" becomes "e", "가" two letters), but it treats
every character by itself. So the map back is built character by character.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np


class Pieces(NamedTuple):
    """The pieces of one text, int32 (pieces,) each: piece i is `text[starts[i]:ends[i]]`."""

    ids: np.ndarray
    starts: np.ndarray
    ends: np.ndarray


class CharacterMap:
    """What normalisation makes of single characters, learned as they turn up.

    Args:
        normalize: normalises a list of strings.
    """

    def __init__(self, normalize: Callable[[list[str]], list[str]]):
        self._normalize = normalize
        self._normalized = {}

    def covering(self, texts: Iterable[str]) -> Mapping[str, str]:
        """A map that has every character of `texts`."""
        unseen = sorted(set().union(*texts) - self._normalized.keys())
        if unseen:
            self._normalized.update(zip(unseen, self._normalize(unseen), strict=True))
        return self._normalized


class Alignment(NamedTuple):
    """Normalised text; the original characters [start, end) of each of its bytes in UTF-8."""

    normalized: str
    starts: np.ndarray
    ends: np.ndarray

    def originals(
        self, byte_starts: Sequence[int], byte_ends: Sequence[int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Offsets in bytes of the normalised text -> offsets in characters of the original."""
        return self.starts[np.asarray(byte_starts)], self.ends[np.asarray(byte_ends) - 1]


def align(
    text: str,
    normalized_character: Mapping[str, str],
    wholes: re.Pattern | None = None,
    normalized_whole: Mapping[str, str] | None = None,
) -> Alignment:
    """Normalise `text` and remember where everything came from.

    Args:
        text: the original text.
        normalized_character: what each of its characters becomes.
        wholes: a pattern, one group around all of it, for strings that are replaced as a whole.
        normalized_whole: what each of those strings becomes.
    """
    units, lengths = [], []
    for index, part in enumerate(wholes.split(text) if wholes else [text]):
        if index % 2:  # `split` puts what the group matched between the other parts.
            units.append(normalized_whole[part])
            lengths.append(len(part))
        else:
            units.extend(map(normalized_character.__getitem__, part))
            lengths.extend([1] * len(part))
    ends = np.cumsum(np.array(lengths, np.int32), dtype=np.int32)
    starts = ends - np.array(lengths, np.int32)
    num_bytes = [len(unit.encode("utf-8")) for unit in units]
    return Alignment("".join(units), np.repeat(starts, num_bytes), np.repeat(ends, num_bytes))
