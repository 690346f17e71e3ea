"""Scores of tags: those of conlleval.pl, as shares of 1."""

from collections.abc import Iterable, Mapping

import numpy as np

from kbert.metrics import conll
from kbert.metrics.layout import aligned
from kbert.metrics.tally import Tally


def tagging_scores(sentences: Iterable[conll.Sentence]) -> dict:
    """Precision, recall and F1 of entities, and the accuracy of tags, ready for JSON.

    Returns:
        f1, precision, recall; phrases, found, correct: entities in the data, in the prediction, in
        both; accuracy; types: the same but the accuracy of each type.

    Raises DataError as `conll.conll_scores` does.
    """
    found = conll.conll_scores(sentences)
    types = {name: _shares(scores) for name, scores in found["types"].items()}
    return _shares(found) | {"accuracy": found["accuracy"] / 100, "types": types}


def tagging_tally(metric: str, sentences: Iterable[conll.Sentence]) -> Tally | None:
    """A score of `tagging_scores` by its entities in each sentence; None of the accuracy."""
    if metric not in ("f1", "precision", "recall"):
        return None
    totals = []
    for gold, predicted in sentences:
        counts = conll.Counts()
        conll.count_entities(gold, predicted, counts)
        totals.append(counts.totals())
    return Tally(np.array(totals), lambda sums: _shares(conll.entity_scores(*sums))[metric])


def format_types(scores: Mapping) -> str:
    """A line for each type of `tagging_scores`."""
    header = ("", "precision", "recall", "f1", "in the data", "found")
    rows = [
        (
            name,
            *(f"{values[part]:.4f}" for part in header[1:4]),
            values["phrases"],
            values["found"],
        )
        for name, values in scores["types"].items()
    ]
    return aligned([header, *rows])


def _shares(scores: Mapping) -> dict:
    """conlleval's percentages as every other score of kbert is given."""
    return {
        "f1": scores["FB1"] / 100,
        "precision": scores["precision"] / 100,
        "recall": scores["recall"] / 100,
        **{name: scores[name] for name in ("phrases", "found", "correct")},
    }
