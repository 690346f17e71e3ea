"""Precision, recall and F1 of entities, by the rules of the CoNLL shared tasks' conlleval.pl.

An entity counts as found if its words and its type are right. Where one begins and ends follows
from each tag and the one before it, so that IOB1, BIO and IOE tags are all read as they are, even
where they break their own rules:

    IOB1    I-PER I-PER B-PER O I-LOC        two persons, one place
    BIO     B-PER I-PER B-PER O B-LOC        the same
    IOE2    I-PER E-PER E-PER O E-LOC        the same
    BIOES   B-PER E-PER S-PER O S-LOC        one person: conlleval.pl does not know "S", nor that an
                                             entity ends at "E" before "B"; see `from_bioes`
"""

import collections
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from kbert.errors import DataError

OUTSIDE = "O"
# In the first column it ends a sentence, as a blank line does.
_BOUNDARY = "-X-"
# Prefixes of neighbouring tags between which an entity ends, or begins, whatever their types.
_END = frozenset(["BB", "BO", "IB", "IO", "EE", "EI", "EO"])
_START = frozenset(["BB", "IB", "OB", "OI", "OE", "EE", "EI"])
_SINGLE = ("[", "]")  # Entities of one word.
_NO_ENTITY = (OUTSIDE, ".")


class Tag(NamedTuple):
    """ "B-PER" as ("B", "PER"); "O" as ("O", "")."""

    prefix: str
    type: str


class Sentence(NamedTuple):
    """Tags of the words of one sentence, of equal number."""

    gold: Sequence[str]
    predicted: Sequence[str]


class Counts:
    """Entities by type: in the data, in the prediction, in both."""

    def __init__(self):
        self.phrases = collections.Counter()
        self.found = collections.Counter()
        self.correct = collections.Counter()

    def scores(self, name: str) -> dict:
        """`entity_scores` of one type."""
        return entity_scores(self.phrases[name], self.found[name], self.correct[name])

    def totals(self) -> tuple[int, int, int]:
        """Of all types: in the data, in the prediction, in both."""
        return self.phrases.total(), self.found.total(), self.correct.total()


def entity_scores(phrases: int, found: int, correct: int) -> dict:
    """phrases, found, correct as they are; precision, recall, FB1 in percent."""
    precision = 100.0 * correct / found if found else 0.0
    recall = 100.0 * correct / phrases if phrases else 0.0
    both = precision + recall
    return {
        "phrases": phrases,
        "found": found,
        "correct": correct,
        "precision": precision,
        "recall": recall,
        "FB1": 2 * precision * recall / both if both else 0.0,
    }


def conll_scores(sentences: Iterable[Sentence]) -> dict:
    """What conlleval.pl prints, under its names; percentages unrounded.

    Returns:
        tokens; phrases (entities in the data), found (in the prediction), correct; accuracy of the
        tags; precision, recall, FB1; types: the same of each type, without tokens and accuracy.

    Raises DataError where there is no word to score, or tags differ in number.
    """
    counts, tokens, right = Counts(), 0, 0
    for number, (gold, predicted) in enumerate(sentences):
        if len(gold) != len(predicted):
            raise DataError(
                f"Sentence {number}: expected {len(gold)} predicted tags. "
                f"Received: {len(predicted)}."
            )
        tokens += len(gold)
        right += sum(map(str.__eq__, gold, predicted))
        count_entities(gold, predicted, counts)
    if not tokens:
        raise DataError("Expected one word at least. Received none.")
    types = sorted(counts.phrases.keys() | counts.found.keys())
    overall = {"tokens": tokens, "accuracy": 100.0 * right / tokens}
    overall |= entity_scores(*counts.totals())
    return overall | {"types": {name: counts.scores(name) for name in types}}


def count_entities(gold: Sequence[str], predicted: Sequence[str], counts: Counts) -> None:
    """Add the entities of one sentence to `counts`."""
    gold, predicted = map(_split_tag, gold), map(_split_tag, predicted)
    outside = Tag(OUTSIDE, "")
    last_gold = last_predicted = outside
    alike = False  # Whether an entity is open that has been the same in both so far.
    for tag, guess in zip([*gold, outside], [*predicted, outside], strict=True):
        end, guess_end = _ends(last_gold, tag), _ends(last_predicted, guess)
        if alike and end and guess_end and last_gold.type == last_predicted.type:
            counts.correct[last_gold.type] += 1
            alike = False
        elif end != guess_end or tag.type != guess.type:
            alike = False
        start, guess_start = _starts(last_gold, tag), _starts(last_predicted, guess)
        counts.phrases[tag.type] += start
        counts.found[guess.type] += guess_start
        alike |= start and guess_start and tag.type == guess.type
        last_gold, last_predicted = tag, guess
    for counter in (counts.phrases, counts.found):
        # Types without an entity are only there because 0 was added.
        for name in [name for name, count in counter.items() if not count]:
            del counter[name]


def _ends(before: Tag, tag: Tag) -> bool:
    """Whether an entity ends between two tags."""
    changes = before.prefix not in _NO_ENTITY and before.type != tag.type
    return before.prefix + tag.prefix in _END or before.prefix in _SINGLE or changes


def _starts(before: Tag, tag: Tag) -> bool:
    """Whether an entity begins between two tags."""
    changes = tag.prefix not in _NO_ENTITY and before.type != tag.type
    return before.prefix + tag.prefix in _START or tag.prefix in _SINGLE or changes


def _split_tag(tag: str) -> Tag:
    """Cut at the first hyphen; a type may hold others."""
    prefix, _, name = tag.partition("-")
    return Tag(prefix, name)


def from_bioes(tags: Sequence[str]) -> list[str]:
    """BIOES tags as BIO tags of the same entities, for `conll_scores`.

    What goes on behind an end ("E" or "S") without a beginning begins an entity.
    """
    bio, ended = [], False
    for prefix, name in map(_split_tag, tags):
        begins = prefix in ("B", "S") or (prefix in ("I", "E") and ended)
        if prefix in ("B", "I", "E", "S"):
            bio.append(f"{'B' if begins else 'I'}-{name}")
        else:
            bio.append(f"{prefix}-{name}" if name else prefix)
        ended = prefix in ("E", "S")
    return bio


def parse_columns(
    lines: Iterable[tuple[int, str]], path: str, delimiter: str | None = None
) -> Iterator[Sentence]:
    """The sentences of conlleval's input: the last two columns are the right and the found tag.

    Args:
        lines: numbered from 1, with their ends.
        path: names the file in messages.
        delimiter: between columns; None for any number of blanks and tabs.

    Raises DataError with file and line for a line that does not have the first line's columns.
    """
    split = re.compile(r"[ \t]+" if delimiter is None else re.escape(delimiter)).split
    columns, gold, predicted = 0, [], []
    for number, line in lines:
        line = line.rstrip("\r\n")
        # Trailing delimiters are no columns, in Perl.
        cells = split(line.strip(" \t") if delimiter is None else line.rstrip(delimiter))
        if cells == [""] or cells[0] == _BOUNDARY:
            if gold:
                yield Sentence(gold, predicted)
            gold, predicted = [], []
            continue
        columns = columns or len(cells)
        if len(cells) != columns or columns < 2:
            wanted = f"{columns} columns as in the first line" if columns > 1 else "two columns"
            raise DataError(
                f"{path}, line {number}: expected {wanted}, the last two of them tags. "
                f"Received: {line[:80]!r}."
            )
        gold.append(cells[-2])
        predicted.append(cells[-1])
    if gold:
        yield Sentence(gold, predicted)
