"""Precision, recall and F1 of entities, by the rules of the CoNLL shared tasks' conlleval.

An entity counts as found if its first word, its last word and its type are right.
"""

import collections
from collections.abc import Sequence

# Pairs of neighbouring tags' prefixes between which an entity ends, or begins, whatever the types.
_ENDS = frozenset(["BB", "BO", "IB", "IO", "EE", "EI", "EO"])
_BEGINS = frozenset(["BB", "IB", "OB", "OI", "OE", "EE", "EI"])


def conll_scores(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> dict:
    """What conlleval prints, under its names; percentages, not rounded.

    Args:
        gold: the right tags of each sentence ("B-PER", "I-PER", "O").
        predicted: others, as many for each sentence.

    Returns:
        tokens; accuracy of the tags; phrases (entities in the data), found, correct; precision,
        recall, FB1; types: type -> the same, from phrases on.
    """
    phrases, found, correct = (collections.Counter() for _ in range(3))
    tokens = right = 0
    for tags, guesses in zip(gold, predicted, strict=True):
        right += sum(tag == guess for tag, guess in zip(tags, guesses, strict=True))
        tokens += len(tags)
        entities, guessed = chunks(tags), chunks(guesses)
        phrases.update(name for _, _, name in entities)
        found.update(name for _, _, name in guessed)
        correct.update(name for _, _, name in set(entities) & set(guessed))
    types = sorted(phrases.keys() | found.keys())
    counts = phrases.total(), found.total(), correct.total()
    return {
        "tokens": tokens,
        "accuracy": 100.0 * right / tokens if tokens else 0.0,
        **rates(*counts),
        "types": {name: rates(phrases[name], found[name], correct[name]) for name in types},
    }


def rates(phrases: int, found: int, correct: int) -> dict:
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


def chunks(tags: Sequence[str]) -> list[tuple[int, int, str]]:
    """(start, end, type) of the entities in a sentence; `end` is the number behind the last."""
    result, start = [], None
    last_prefix, last_type = "O", ""
    for number, tag in enumerate([*tags, "O"]):
        prefix, _, name = tag.partition("-")
        changes = last_type != name
        if start is not None and (last_prefix + prefix in _ENDS or changes):
            result.append((start, number, last_type))
            start = None
        if last_prefix + prefix in _BEGINS or (prefix != "O" and changes):
            start = number
        last_prefix, last_type = prefix, name
    return result
