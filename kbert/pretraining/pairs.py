"""Next-sentence pairs (arXiv 1810.04805, section 3.1): half of them real, half from elsewhere."""

from typing import NamedTuple

import numpy as np

from kbert.corpus.store import Split
from kbert.errors import DataError
from kbert.text.segments import truncated_lengths

NUM_DRAWS = 8  # uniform numbers that a pair takes
LEAST_DOCUMENTS = 2  # a random second sentence comes from another document


class Pairs(NamedTuple):
    """Spans of a split's tokens, each (batch,): [first_start, first_end), [second_start, ...)."""

    first_start: np.ndarray
    first_end: np.ndarray
    second_start: np.ndarray
    second_end: np.ndarray
    is_random: np.ndarray


def check_split(split: Split, name: str) -> None:
    """Raises `DataError` where next-sentence pairs cannot be drawn from a split."""
    if split.num_documents < LEAST_DOCUMENTS:
        raise DataError(
            f"The {name} split must have at least {LEAST_DOCUMENTS} documents, because a random "
            f"second sentence comes from another document. Received: {split.num_documents}."
        )


def draw_pairs(
    split: Split,
    places: np.ndarray,
    draws: np.ndarray,
    *,
    max_tokens: int,
    short_probability: float,
) -> Pairs:
    """Draw a batch of pairs.

    Args:
        places: uniform numbers in [0, 1), (batch,): where in the split each pair starts.
        draws: uniform numbers in [0, 1), (batch, NUM_DRAWS).
        max_tokens: of both texts together.
        short_probability: of aiming at a random smaller length, so that the model also sees short
            rows (0.1 in the paper).
    """
    short, short_length, is_random, cut, elsewhere, split_point, trim_first, trim_second = draws.T
    is_random = is_random < 0.5
    shorter = 2 + (short_length * (max_tokens - 1)).astype(np.int64)
    target = np.where(short < short_probability, shorter, max_tokens)
    start, end, document = _chunks(split, places, target)
    boundary = start + 1 + (cut * (end - start - 1)).astype(np.int64)
    first = [split.sentences[start], split.sentences[boundary]]
    second = [split.sentences[boundary], split.sentences[end]]
    # A document of one sentence: the sentence itself is cut in two.
    single = end - start == 1
    first[1] = np.where(single, _inside(first[0], second[1], split_point), first[1])
    second[0] = np.where(single, first[1], second[0])
    # One token cannot be cut.
    is_random |= second[0] == second[1]
    away = _random_spans(split, document, elsewhere, target - (first[1] - first[0]))
    second = [np.where(is_random, far, near) for far, near in zip(away, second, strict=True)]
    return _trim(first, second, max_tokens, trim_first, trim_second, is_random)


def _chunks(split, places, target):
    """Sentences [start, end) of one document, with about `target` tokens; two where it has two."""
    # A place a hair below 1 may round to the end of a large split.
    token = np.minimum((places * len(split.tokens)).astype(np.int64), len(split.tokens) - 1)
    start = np.searchsorted(split.sentences, token, side="right") - 1
    document = np.searchsorted(split.documents, start, side="right") - 1
    begin, stop = split.documents[document], split.documents[document + 1]
    start = np.maximum(begin, np.minimum(start, stop - 2))
    end = np.searchsorted(split.sentences, split.sentences[start] + target)
    return start, np.clip(end, np.minimum(start + 2, stop), stop), document


def _inside(start, end, draw):
    """A token offset that leaves at least one token on both sides, where there are two."""
    return start + np.minimum(1 + (draw * (end - start - 1)).astype(np.int64), end - start)


def _random_spans(split, document, draw, target):
    """About `target` tokens that begin with a random sentence of the other documents."""
    begin, stop = split.documents[document], split.documents[document + 1]
    others = split.num_sentences - (stop - begin)
    sentence = (draw * others).astype(np.int64)
    sentence = np.where(sentence >= begin, sentence + (stop - begin), sentence)
    home = np.searchsorted(split.documents, sentence, side="right") - 1
    start = split.sentences[sentence]
    end = np.searchsorted(split.sentences, start + np.maximum(target, 1))
    return start, split.sentences[np.clip(end, sentence + 1, split.documents[home + 1])]


def _trim(first, second, max_tokens, trim_first, trim_second, is_random):
    """Cut the longer text until both fit, at its front and its back as the draws say."""
    first_length, second_length = first[1] - first[0], second[1] - second[0]
    keep_first, keep_second = truncated_lengths(first_length, second_length, max_tokens)
    first_start = first[0] + _front(first_length - keep_first, trim_first)
    second_start = second[0] + _front(second_length - keep_second, trim_second)
    return Pairs(
        first_start, first_start + keep_first, second_start, second_start + keep_second, is_random
    )


def _front(surplus, draw):
    return (draw * (surplus + 1)).astype(np.int64)
