"""Pieces of documents: so long as an example aims at, cut in two, cut to what a row holds."""

import numpy as np

from kbert.corpus.store import Split
from kbert.text.segments import truncated_lengths

Bounds = list[np.ndarray]


def aims(
    short: np.ndarray,
    length: np.ndarray,
    *,
    least: int,
    max_tokens: int,
    short_probability: float,
) -> np.ndarray:
    """How many tokens each example aims at: `max_tokens`, or a random smaller number.

    Args:
        short, length: uniform numbers in [0, 1), (examples,): whether it is smaller, and which.
        least: the smallest.
    """
    shorter = least + (length * (max_tokens - least + 1)).astype(np.int64)
    return np.where(short < short_probability, shorter, max_tokens)


def chunks(
    split: Split, places: np.ndarray, target: np.ndarray, least: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sentences [start, end) of one document, and which: at least `least` where it has them.

    Together they have about `target` tokens.
    """
    # A place a hair below 1 may round to the end of a large split.
    token = np.minimum((places * len(split.tokens)).astype(np.int64), len(split.tokens) - 1)
    start = np.searchsorted(split.sentences, token, side="right") - 1
    document = np.searchsorted(split.documents, start, side="right") - 1
    begin, stop = split.documents[document], split.documents[document + 1]
    start = np.maximum(begin, np.minimum(start, stop - least))
    end = np.searchsorted(split.sentences, split.sentences[start] + target)
    return start, np.clip(end, np.minimum(start + least, stop), stop), document


def halves(
    split: Split, start: np.ndarray, end: np.ndarray, cut: np.ndarray, split_point: np.ndarray
) -> tuple[Bounds, Bounds]:
    """Sentences [start, end) as two texts, token bounds of each; the second may be empty.

    Args:
        cut: uniform numbers: before which sentence the second text begins.
        split_point: uniform numbers: before which token, where there is one sentence only.
    """
    boundary = start + 1 + (cut * (end - start - 1)).astype(np.int64)
    first = [split.sentences[start], split.sentences[boundary]]
    second = [split.sentences[boundary], split.sentences[end]]
    # A document of one sentence: the sentence itself is cut in two.
    single = end - start == 1
    first[1] = np.where(single, _inside(first[0], second[1], split_point), first[1])
    second[0] = np.where(single, first[1], second[0])
    return first, second


def _inside(start, end, draw):
    """A token offset that leaves at least one token on both sides, where there are two."""
    return start + np.minimum(1 + (draw * (end - start - 1)).astype(np.int64), end - start)


def trimmed_pair(
    first: Bounds, second: Bounds, max_tokens: int, trim_first: np.ndarray, trim_second: np.ndarray
) -> tuple[Bounds, Bounds]:
    """Cut the longer text until both fit, at its front and its back as the draws say."""
    keep = truncated_lengths(first[1] - first[0], second[1] - second[0], max_tokens)
    return trimmed(first, keep[0], trim_first), trimmed(second, keep[1], trim_second)


def trimmed(text: Bounds, keep: np.ndarray, draw: np.ndarray) -> Bounds:
    """`keep` tokens of each text; how many of the others stood before them the draw says."""
    start, end = text
    start = start + (draw * (end - start - keep + 1)).astype(np.int64)
    return [start, start + keep]
