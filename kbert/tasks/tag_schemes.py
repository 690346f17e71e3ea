"""Tags of words: however a file writes entities, they are BIO inside kbert.

    words      Ann   Lee   met   Bo    in    Rome
    IOB1       I-PER I-PER O     I-PER O     I-LOC     "B-" only where two of one type touch
    BIO        B-PER I-PER O     B-PER O     B-LOC
    BIOES      B-PER E-PER O     S-PER O     S-LOC     also BMES and BILOU

One rule reads all of them, so that nobody needs to name the scheme: an entity begins at B, S or U,
at every other prefix behind O, behind another type, or behind what ends one (E, L, S, U). Tags of
words alone, as parts of speech, have no prefix: they are plain, and stay as they are.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

OUTSIDE = "O"
_BEGIN = frozenset("BSU")
_END = frozenset("ELSU")
_PREFIXES = frozenset("BIMESLU")


class Entity(NamedTuple):
    """Words [start, end) of a sentence."""

    start: int
    end: int
    type: str


class BadTag(ValueError):
    """A tag of no scheme; `number` is that of its word."""

    def __init__(self, tag: str, number: int):
        super().__init__(f"expected O or a tag like B-PER, I-PER, E-PER, S-PER. Received: {tag!r}.")
        self.number = number


def entities(tags: Sequence[str]) -> list[Entity]:
    """The entities of one sentence. Raises BadTag for a tag of no scheme."""
    found: list[Entity] = []
    last = OUTSIDE
    for number, tag in enumerate(tags):
        if tag != OUTSIDE:
            if not has_prefix(tag):
                raise BadTag(tag, number)
            prefix, _, name = tag.partition("-")
            if last == OUTSIDE or prefix in _BEGIN or last[0] in _END or last[2:] != name:
                found.append(Entity(number, number + 1, name))
            else:
                found[-1] = found[-1]._replace(end=number + 1)
        last = tag
    return found


def are_plain(tags: Collection[str]) -> bool:
    """Whether these, all tags of a file, are tags of words alone: no prefix, and not only O."""
    return bool(set(tags) - {OUTSIDE}) and not any(map(has_prefix, tags))


def has_prefix(tag: str) -> bool:
    prefix, _, name = tag.partition("-")
    return prefix in _PREFIXES and bool(name)


def to_bio(tags: Sequence[str]) -> tuple[str, ...]:
    """The same entities in BIO. Raises BadTag for a tag of no scheme."""
    return from_entities(entities(tags), len(tags))


def from_entities(found: Sequence[Entity], words: int) -> tuple[str, ...]:
    """BIO tags of a sentence of so many words. Raises ValueError where entities overlap."""
    tags = [OUTSIDE] * words
    for start, end, name in found:
        if any(tag != OUTSIDE for tag in tags[start:end]):
            raise ValueError("expected entities that do not overlap.")
        tags[start:end] = [f"B-{name}"] + [f"I-{name}"] * (end - start - 1)
    return tuple(tags)


def bio_tags(types: Sequence[str]) -> tuple[str, ...]:
    """All tags for these types, those that no file has among them: O, B-X, I-X, B-Y, I-Y ..."""
    return (OUTSIDE, *(f"{prefix}-{name}" for name in types for prefix in "BI"))


# A matrix of transitions (tags + 2, tags): row i scores each tag behind tag i, the last row but one
# as the first of a sentence, the last row as its last. kbert/layers/crf.py learns one.


def valid_transitions(tags: Sequence[str]) -> np.ndarray:
    """Transitions: 0 where BIO allows them, -inf where not (I-X behind anything but B-X, I-X)."""
    transitions = np.zeros((len(tags) + 2, len(tags)))
    for column, tag in enumerate(tags):
        if tag.startswith("I-"):
            allowed = [row for row, before in enumerate(tags) if before[2:] == tag[2:]]
            transitions[:-1, column] = -np.inf
            transitions[allowed, column] = 0
    return transitions


def viterbi(emissions: np.ndarray, transitions: np.ndarray) -> np.ndarray:
    """The best sequence: the highest sum of its emissions and transitions.

    Args:
        emissions: (words, tags), one word at least.
        transitions: (tags + 2, tags).

    Returns int (words,).
    """
    between, first, last = transitions[:-2], transitions[-2], transitions[-1]
    best = first + emissions[0]  # (tags,), of the sequences that end in each tag
    pointers = []
    for emission in emissions[1:]:
        scores = best[:, None] + between  # (tag before, tag)
        pointers.append(scores.argmax(axis=0))
        best = scores.max(axis=0) + emission
    path = [int((best + last).argmax())]
    for pointer in reversed(pointers):
        path.append(int(pointer[path[-1]]))
    return np.array(path[::-1])


def marginals(emissions: np.ndarray, transitions: np.ndarray) -> np.ndarray:
    """The probability of each tag of each word, over all sequences: (words, tags).

    Without transitions (all 0) it is the softmax of the emissions.
    """
    between, first, last = transitions[:-2], transitions[-2], transitions[-1]
    forward = [first + emissions[0]]
    for emission in emissions[1:]:
        forward.append(log_sum_exp(forward[-1][:, None] + between, 0) + emission)
    backward = [last]
    for emission in emissions[:0:-1]:
        backward.append(log_sum_exp(between + (emission + backward[-1]), 1))
    scores = np.array(forward) + np.array(backward[::-1])
    return np.exp(scores - log_sum_exp(scores, 1)[:, None])


def log_sum_exp(values: np.ndarray, axis: int) -> np.ndarray:
    highest = values.max(axis=axis, keepdims=True)
    # Where all are -inf, so is the sum: -inf - -inf would be no number.
    highest = np.where(np.isfinite(highest), highest, 0)
    with np.errstate(divide="ignore"):
        total = np.log(np.exp(values - highest).sum(axis=axis))
    return total + highest.squeeze(axis)
