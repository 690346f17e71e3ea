"""The best tags of sentences where a tag depends on its neighbours, many sentences at once.

A matrix of transitions (tags + 2, tags): row i scores each tag behind tag i, the last row but one
as the first of a sentence, the last row as its last. kbert/layers/crf.py learns one,
`tag_schemes.valid_transitions` forbids what BIO does not allow.
"""

from collections.abc import Iterator, Sequence

import numpy as np

# Numbers in the largest array of a step: enough to be quick, few enough for the cache.
_AT_ONCE = 1 << 18
# Numbers in an array of all steps of a group: 32 MB, of which there are a handful.
_MOST = 1 << 22


def best_sequences(
    emissions: Sequence[np.ndarray], transitions: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The best tags of each sentence, and their probabilities over all its sequences.

    Args:
        emissions: of each sentence (words, tags), one word at least.
        transitions: (tags + 2, tags).

    Returns int (words,) and float (words,) of each sentence, in order.
    """
    found: list = [None] * len(emissions)
    for numbers, padded, lengths in _groups(emissions):
        paths = viterbi(padded, lengths, transitions)
        probabilities = marginals(padded, lengths, transitions)
        scores = np.take_along_axis(probabilities, paths[..., None], axis=2)[..., 0]
        for number, path, score, length in zip(numbers, paths, scores, lengths, strict=True):
            found[number] = path[:length], score[:length]
    return found


def viterbi(emissions: np.ndarray, lengths: np.ndarray, transitions: np.ndarray) -> np.ndarray:
    """The best sequence of each sentence: the highest sum of its emissions and transitions.

    Args:
        emissions: (sentences, words, tags); what is behind a sentence's end does not count.
        lengths: (sentences,), the longest first, each at least 1.
        transitions: (tags + 2, tags).

    Returns int (sentences, words); 0 behind a sentence's end.
    """
    between, first, last = transitions[:-2], transitions[-2], transitions[-1]
    best = first + emissions[:, 0]  # (sentences, tags), of the sequences that end in each tag
    pointers = []
    for word, rows in enumerate(_rows_at(lengths)[1:], 1):
        scores = best[:rows, :, None] + between  # (rows, tag before, tag)
        pointers.append(scores.argmax(axis=1))
        best[:rows] = scores.max(axis=1) + emissions[:rows, word]
    paths = np.zeros(emissions.shape[:2], int)
    paths[np.arange(len(paths)), lengths - 1] = (best + last).argmax(axis=1)
    for word in range(len(pointers), 0, -1):
        pointer = pointers[word - 1]
        rows = np.arange(len(pointer))
        paths[rows, word - 1] = pointer[rows, paths[rows, word]]
    return paths


def marginals(emissions: np.ndarray, lengths: np.ndarray, transitions: np.ndarray) -> np.ndarray:
    """The probability of each tag of each word, over all sequences of its sentence.

    Without transitions (all 0) it is the softmax of the emissions.

    Args: as of `viterbi`.

    Returns (sentences, words, tags); nothing of sense behind a sentence's end.
    """
    between, first, last = transitions[:-2], transitions[-2], transitions[-1]
    rows_at = _rows_at(lengths)
    forward, backward = np.zeros_like(emissions), np.zeros_like(emissions)
    forward[:, 0] = first + emissions[:, 0]
    for word, rows in enumerate(rows_at[1:], 1):
        before = forward[:rows, word - 1, :, None] + between
        forward[:rows, word] = np.logaddexp.reduce(before, axis=1) + emissions[:rows, word]
    backward[np.arange(len(lengths)), lengths - 1] = last
    for word in range(len(rows_at) - 1, 0, -1):
        rows = rows_at[word]
        after = emissions[:rows, word] + backward[:rows, word]
        backward[:rows, word - 1] = np.logaddexp.reduce(between + after[:, None], axis=2)
    scores = forward + backward
    return np.exp(scores - np.logaddexp.reduce(scores, axis=2)[..., None])


def _rows_at(lengths: np.ndarray) -> np.ndarray:
    """How many sentences have a word at each place: the first so many."""
    return (lengths[:, None] > np.arange(lengths[0])).sum(axis=0)


def _groups(
    emissions: Sequence[np.ndarray],
) -> Iterator[tuple[list[int], np.ndarray, np.ndarray]]:
    """Numbers of sentences of like length, their emissions padded, and lengths, longest first; as
    many as memory and cache are for."""
    order = sorted(range(len(emissions)), key=lambda number: -len(emissions[number]))
    num_tags = emissions[0].shape[1] if len(emissions) else 1
    start = 0
    while start < len(order):
        # A step has (sentences, tags, tags), all steps together (sentences, words, tags).
        longest = max(len(emissions[order[start]]), 1)
        count = min(_AT_ONCE // num_tags**2, _MOST // (longest * num_tags))
        numbers = order[start : start + max(count, 1)]
        start += len(numbers)
        lengths = np.array([len(emissions[number]) for number in numbers])
        padded = np.zeros((len(numbers), lengths[0], num_tags))
        for row, number in enumerate(numbers):
            padded[row, : lengths[row]] = emissions[number]
        yield numbers, padded, lengths
