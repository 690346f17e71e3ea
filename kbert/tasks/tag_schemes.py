"""Tags of words: however a file writes entities, they are BIO inside kbert.

    words      Ann   Lee   met   Bo    in    Rome
    IOB1       I-PER I-PER O     I-PER O     I-LOC     "B-" only where two of one type touch
    BIO        B-PER I-PER O     B-PER O     B-LOC
    BIOES      B-PER E-PER O     S-PER O     S-LOC     also BMES and BILOU

One rule reads all of them, so that nobody needs to name the scheme: an entity begins at B, S or U,
at every other prefix behind O, behind another type, or behind what ends one (E, L, S, U). Read are
also B_PER, PER-B and PER_B, and where there is one type without a name, B, I and O alone. Tags of
words, as parts of speech, are plain, and stay as they are.
"""

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

OUTSIDE = "O"
_BEGIN = frozenset("BSU")
_END = frozenset("ELSU")
# B-PER or B_PER, PER-B or PER_B, B.
_TAG = re.compile("([BIMESLU])[-_](.+)|(.+)[-_]([BIMESLU])|([BIMESLU])", re.DOTALL)


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
    last = None  # (prefix, type) of the tag before; None for O
    for number, tag in enumerate(tags):
        parts = None if tag == OUTSIDE else split_tag(tag)
        if parts is not None:
            prefix, name = parts
            if last is None or prefix in _BEGIN or last[0] in _END or last[1] != name:
                found.append(Entity(number, number + 1, name))
            else:
                found[-1] = found[-1]._replace(end=number + 1)
        elif tag != OUTSIDE:
            raise BadTag(tag, number)
        last = parts
    return found


def are_plain(tags: Collection[str]) -> bool:
    """Whether these, all tags of a file, are tags of words alone: of no scheme, and not only O.

    One tag like B-PER is enough for a scheme, and makes errors of those that are like none. Other
    ways of writing must be that of all tags, with B or I among them: words have tags like S, too.
    """
    parts = {tag: split_tag(tag) for tag in set(tags) - {OUTSIDE}}
    if any(part is not None and tag == "-".join(part) for tag, part in parts.items()):
        return False
    of_scheme = None not in parts.values() and any(prefix in "BI" for prefix, _ in parts.values())
    return bool(parts) and not of_scheme


def split_tag(tag: str) -> tuple[str, str] | None:
    """(prefix, type), the type "" where it has none; None for a tag of no scheme."""
    match = _TAG.fullmatch(tag)
    if match is None:
        return None
    prefix, name, name_before, suffix, alone = match.groups()
    return prefix or suffix or alone, name or name_before or ""


def join_tag(prefix: str, name: str) -> str:
    """B-PER of B and PER; B where the type has no name."""
    return f"{prefix}-{name}" if name else prefix


def to_bio(tags: Sequence[str]) -> tuple[str, ...]:
    """The same entities in BIO. Raises BadTag for a tag of no scheme."""
    return from_entities(entities(tags), len(tags))


def from_entities(found: Sequence[Entity], words: int) -> tuple[str, ...]:
    """BIO tags of a sentence of so many words. Raises ValueError where entities overlap."""
    tags = [OUTSIDE] * words
    for start, end, name in found:
        if any(tag != OUTSIDE for tag in tags[start:end]):
            raise ValueError("expected entities that do not overlap.")
        tags[start:end] = [join_tag("B", name)] + [join_tag("I", name)] * (end - start - 1)
    return tuple(tags)


def bio_tags(types: Sequence[str]) -> tuple[str, ...]:
    """All tags for these types, those that no file has among them: O, B-X, I-X, B-Y, I-Y ..."""
    return (OUTSIDE, *(join_tag(prefix, name) for name in types for prefix in "BI"))


def valid_transitions(tags: Sequence[str]) -> np.ndarray:
    """Transitions, as `tag_sequences` has them: 0 where BIO allows them, -inf where not (I-X behind
    anything but B-X, I-X)."""
    transitions = np.zeros((len(tags) + 2, len(tags)))
    for column, tag in enumerate(tags):
        if tag != OUTSIDE and split_tag(tag)[0] == "I":
            allowed = [
                row
                for row, before in enumerate(tags)
                if before != OUTSIDE and split_tag(before)[1] == split_tag(tag)[1]
            ]
            transitions[:-1, column] = -np.inf
            transitions[allowed, column] = 0
    return transitions


def as_phrases(tags: Sequence[str]) -> list[str]:
    """Plain tags in BIO: every word that is not O is a phrase."""
    return [tag if tag == OUTSIDE else f"B-{tag}" for tag in tags]
