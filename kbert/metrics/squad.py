"""Exact match and F1 of extracted answers, by the rules of SQuAD's official scripts.

Version 1.1 (Rajpurkar et al., 2016, arXiv:1606.05250) has an answer for every question; version 2.0
(Rajpurkar, Jia & Liang, 2018, arXiv:1806.03822) has questions without one, answered rightly by "".
All scores are percentages.
"""

import bisect
import collections
import itertools
import math
import re
import string
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import NamedTuple

from kbert.errors import DataError
from kbert.metrics.settings import NullOddsSettings

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")

# What numbers the questions: their ids, or places in a list.
Key = Hashable


class Score(NamedTuple):
    """Of one question, 0 to 1: the best over its right answers."""

    exact: float
    f1: float


def squad1_scores(gold: Mapping[Key, Sequence[str]], predictions: Mapping[Key, str]) -> dict:
    """Scores by the rules of version 1.1.

    Args:
        gold: the right answers to each question, one at least.
        predictions: the answers to score; a question without one scores 0, others are ignored.

    Returns:
        exact, also as exact_match, its name in the script of 1.1; f1; total (questions); and
        missing, if questions have no prediction.

    Raises DataError where there is nothing to score.
    """
    scores = {key: _score1(gold[key], predictions.get(key)) for key in gold}
    result = _means(scores, scores)
    missing = len(gold.keys() - predictions.keys())
    return {"exact_match": result["exact"], **result} | ({"missing": missing} if missing else {})


def squad2_scores(
    gold: Mapping[Key, Sequence[str]],
    predictions: Mapping[Key, str],
    null_odds: Mapping[Key, float] | None = None,
    threshold: float = NullOddsSettings.threshold,
) -> dict:
    """Scores by the rules of version 2.0.

    Args:
        gold: the right answers to each question; none for one that has no answer.
        predictions: the answers to score, "" for none. A question without a prediction scores 0
            (the official script stops there); predictions for other questions are ignored.
        null_odds: how strongly the model holds that a question has no answer.
        threshold: a question with greater odds counts as answered by "". 1.0 is the official
            script's, which expects probabilities.

    Returns:
        exact, f1, total; the same of the questions that have an answer as HasAns_*, of the others
        as NoAns_*; with `null_odds` the best that another threshold could reach: best_exact,
        best_exact_thresh, best_f1, best_f1_thresh; and missing, if questions have no prediction.

    Raises DataError where there is nothing to score, or a question has no odds, or NaN.
    """
    raw = {key: score2(answers, predictions.get(key)) for key, answers in gold.items()}
    scores = raw
    if null_odds is not None:
        without = [key for key in gold if key not in null_odds]
        if without:
            raise DataError(f"{len(without)} questions have no null odds; the first: {without[0]}.")
        _check_null_odds(null_odds)
        if math.isnan(threshold):
            raise DataError("The threshold of null odds must be a number. Received: NaN.")
        scores = {
            key: Score(*[float(not gold[key])] * 2) if null_odds[key] > threshold else score
            for key, score in raw.items()
        }
    result = _means(scores, scores)
    for name, has_answer in (("HasAns", True), ("NoAns", False)):
        keys = [key for key, answers in gold.items() if bool(answers) == has_answer]
        if keys:
            result |= {f"{name}_{key}": value for key, value in _means(scores, keys).items()}
    if null_odds is not None:
        for name in Score._fields:
            points = {key: getattr(score, name) for key, score in raw.items()}
            best, at = _best_threshold(gold, predictions, points, null_odds)
            result |= {f"best_{name}": best, f"best_{name}_thresh": at}
    missing = len(gold.keys() - predictions.keys())
    return result | ({"missing": missing} if missing else {})


def _best_threshold(
    gold: Mapping[Key, Sequence[str]],
    predictions: Mapping[Key, str],
    points: Mapping[Key, float],
    null_odds: Mapping[Key, float],
) -> tuple[float, float]:
    """The highest score that any threshold gives, in percent, and that threshold.

    Begins with "" for every question (reported with the threshold 0.0, whatever the odds are), then
    lets the predictions stand one by one, by rising odds; those of equal odds in the order of
    `null_odds`. So does the official script.

    Args:
        points: of each question's prediction, 0 to 1.
    """
    now = best = sum(not answers for answers in gold.values())
    threshold = 0.0
    for key in sorted(null_odds, key=null_odds.__getitem__):
        if key not in points:
            continue
        if gold[key]:
            now += points[key]
        elif predictions.get(key):
            now -= 1
        if now > best:
            best, threshold = now, null_odds[key]
    return 100.0 * best / len(points), threshold


def tune_threshold(
    answered: Mapping[Key, float], unanswered: Mapping[Key, float], null_odds: Mapping[Key, float]
) -> float:
    """The threshold that gives the highest sum of scores; of equal ones the lowest.

    It stands midway between the odds of the last question that is answered and of the next one: at
    the odds themselves an export, whose last digit is another, would decide otherwise. Unlike the
    official script's, it gives just that sum: questions of equal odds are answered together, and
    below all odds nothing is. Raises DataError for odds that are NaN.

    Args:
        answered: the score of each question's prediction, by any rules.
        unanswered: the score of "" instead of it.
        null_odds: of each question; greater than the threshold they make "" the answer.
    """
    _check_null_odds(null_odds)
    levels = sorted(set(null_odds.values()))
    threshold = levels[0] - 1.0
    now = best = 0.0  # more than without any answer
    ordered = sorted(answered, key=null_odds.__getitem__)
    for odds, keys in itertools.groupby(ordered, null_odds.__getitem__):
        now += sum(answered[key] - unanswered[key] for key in keys)
        if now > best:
            best, threshold = now, _above(odds, levels)
    return threshold


def _above(odds: float, levels: Sequence[float]) -> float:
    """Midway from odds to the next higher of some levels, or 1 above the highest."""
    place = bisect.bisect_right(levels, odds)
    following = levels[place] if place < len(levels) else odds + 2.0
    middle = odds / 2 + following / 2
    return middle if odds <= middle < following else odds  # Not between infinities.


def _check_null_odds(null_odds: Mapping[Key, float]) -> None:
    """Raises DataError for odds that are NaN: they are neither above nor below a threshold."""
    for key, odds in null_odds.items():
        if math.isnan(odds):
            raise DataError(f"The null odds of question {key} must be a number. Received: NaN.")


def _means(scores: Mapping[Key, Score], keys: Collection[Key]) -> dict:
    """The mean scores of some questions, in percent, and how many they are."""
    total = len(keys)
    if not total:
        raise DataError("Expected one question at least. Received none.")
    return {
        "exact": 100.0 * sum(scores[key].exact for key in keys) / total,
        "f1": 100.0 * sum(scores[key].f1 for key in keys) / total,
        "total": total,
    }


def _score1(answers: Sequence[str], prediction: str | None) -> Score:
    """The score of one prediction in version 1.1; words that are all articles never overlap."""
    if prediction is None:
        return Score(0.0, 0.0)
    found = _normalize(prediction)
    right = [_normalize(answer) for answer in answers]
    return Score(float(found in right), max(_overlap(found, answer) for answer in right))


def score2(answers: Sequence[str], prediction: str | None) -> Score:
    """The score of one prediction in version 2.0, where nothing equals nothing."""
    if prediction is None:
        return Score(0.0, 0.0)
    found = _normalize(prediction)
    # An answer of which normalisation leaves nothing is no answer.
    right = [answer for answer in map(_normalize, answers) if answer] or [""]
    f1 = max(_overlap(found, answer) if found and answer else found == answer for answer in right)
    return Score(float(found in right), float(f1))


def _normalize(text: str) -> str:
    """Lower-case, without ASCII punctuation and English articles, one space between words."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def _overlap(found: str, right: str) -> float:
    """F1 of the words of two normalised texts as bags: 0 where they share none."""
    found_words, right_words = found.split(), right.split()
    shared = collections.Counter(found_words) & collections.Counter(right_words)
    same = sum(shared.values())
    if same == 0:
        return 0.0
    precision, recall = same / len(found_words), same / len(right_words)
    return 2 * precision * recall / (precision + recall)
