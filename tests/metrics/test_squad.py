"""SQuAD's scores: the official scripts' numbers, cases by hand, the threshold by brute force."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbert.errors import DataError
from kbert.metrics.squad import (
    _best_threshold,
    _normalize,
    squad1_scores,
    squad2_scores,
    tune_threshold,
)


def published(shared_data, version, system):
    """Right answers of a part of the development set, a system's predictions, official scores."""
    data = f"derived_squad{version}_dev_6articles.json"
    articles = json.loads(shared_data(f"squad_subsets/{data}").read_text())["data"]
    gold = {
        question["id"]: [answer["text"] for answer in question["answers"]]
        for article in articles
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    }
    predictions = shared_data(f"reference/squad_predictions/{system}.json")
    expected = shared_data("reference/squad_eval_expected.json")
    scores = json.loads(expected.read_text())[data][f"{system}.json"]
    return gold, json.loads(predictions.read_text()), scores


@pytest.mark.parametrize("system", ["pred_v1.1_BERT_ensemble", "pred_v1.1_logreg"])
def test_equals_the_official_script_of_1(shared_data, system):
    gold, predictions, expected = published(shared_data, 1, system)
    scores = squad1_scores(gold, predictions)
    assert {name: scores[name] for name in expected} == pytest.approx(expected, abs=1e-9)
    assert scores["exact_match"] == scores["exact"]
    assert "missing" not in scores


def test_equals_the_official_script_of_2(shared_data):
    gold, predictions, expected = published(shared_data, 2, "pred_v2.0_BERT_single")
    assert squad2_scores(gold, predictions) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Cat!", "cat"),
        ("  an  apple,\ta day ", "apple day"),
        ("theatre", "theatre"),
        ("U.S.A.", "usa"),
        ("«déjà»", "«déjà»"),  # Only ASCII punctuation goes.
        ("a the", ""),
    ],
)
def test_normalize(text, expected):
    assert _normalize(text) == expected


def test_by_hand():
    gold = {1: ["red fox", "the fox"], 2: ["ten cats"], 3: ["x"]}
    scores = squad1_scores(gold, {1: "Fox.", 2: "ten old cats", 9: "not asked"})
    # The second shares two words of three with two; the third is missing.
    assert scores["exact"] == pytest.approx(100 / 3)
    assert scores["f1"] == pytest.approx(100 * (1 + 0.8) / 3)
    assert (scores["total"], scores["missing"]) == (3, 1)


def test_versions_differ_where_nothing_is_left():
    """An article alone: 2.0 takes it for no answer, 1.1 for one that shares no word."""
    assert squad1_scores({1: ["The"]}, {1: "a"})["f1"] == 0
    assert squad1_scores({1: ["The"]}, {1: "a"})["exact"] == 100
    assert squad2_scores({1: ["The"]}, {1: "a"})["f1"] == 100
    assert squad2_scores({1: []}, {1: ""})["NoAns_f1"] == 100
    assert squad2_scores({1: []}, {1: "cat"})["NoAns_exact"] == 0


def test_the_threshold_takes_answers_away():
    gold = {1: ["cat"], 2: [], 3: ["dog"]}
    predictions = {1: "cat", 2: "cow", 3: "dog"}
    scores = squad2_scores(gold, predictions, {1: -5.0, 2: 3.0, 3: 4.0}, threshold=2.0)
    assert scores["exact"] == pytest.approx(100 * 2 / 3)
    assert (scores["HasAns_exact"], scores["NoAns_exact"]) == (50, 100)
    # Any threshold from 4 on gains the dog and loses the cow: as good, so the first stays.
    assert (scores["best_exact"], scores["best_exact_thresh"]) == (pytest.approx(200 / 3), -5.0)


ROWS = st.lists(
    st.tuples(st.booleans(), st.sampled_from(["", "cat"]), st.sampled_from([0.0, 0.5, 1.0])),
    min_size=1,
    max_size=8,
)


@given(ROWS, st.randoms())
def test_best_threshold_by_brute_force(rows, random):
    odds = dict(enumerate(random.sample(range(-9, 9), len(rows))))
    gold = {key: ["cat"] if has else [] for key, (has, _, _) in enumerate(rows)}
    found = {key: text for key, (_, text, _) in enumerate(rows)}
    points = {key: p if gold[key] else float(not found[key]) for key, (_, _, p) in enumerate(rows)}

    def at(threshold):
        kept = {
            key: points[key] if odds[key] <= threshold else float(not gold[key]) for key in gold
        }
        return 100 * sum(kept.values()) / len(rows)

    best, threshold = _best_threshold(gold, found, points, odds)
    assert best == pytest.approx(max(map(at, [-10, *odds.values()])))
    # 0.0 stands for "no answer at all", whatever the odds are.
    assert threshold == 0.0 or at(threshold) == pytest.approx(best)


SCORED = st.lists(
    st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([0.0, 1.0]), st.integers(-3, 3)),
    min_size=1,
    max_size=8,
)


@given(SCORED)
def test_no_threshold_is_better_than_the_tuned_one(rows):
    """Nor does it promise what it does not give: of equal odds either all are answered or none."""
    answered, unanswered, odds = ({k: row[i] for k, row in enumerate(rows)} for i in range(3))

    def at(threshold):
        return sum(answered[k] if odds[k] <= threshold else unanswered[k] for k in odds)

    tuned = tune_threshold(answered, unanswered, odds)
    assert at(tuned) == max(map(at, range(-4, 4)))
    assert tuned not in odds.values()  # whose last digit may be another elsewhere


def test_nan_is_no_odds():
    for odds in ({"a": float("nan"), "b": 0.1}, {"a": 0.1, "b": float("nan")}):
        with pytest.raises(DataError, match="null odds of question [ab] must be a number"):
            squad2_scores({"a": ["x"], "b": []}, {"a": "x", "b": "y"}, odds)
        with pytest.raises(DataError, match="null odds of question [ab] must be a number"):
            tune_threshold({"a": 1.0, "b": 0.0}, {"a": 0.0, "b": 1.0}, odds)
    with pytest.raises(DataError, match="threshold of null odds"):
        squad2_scores({"a": []}, {"a": "x"}, {"a": 0.1}, threshold=float("nan"))


def test_refuses():
    with pytest.raises(DataError, match="one question at least"):
        squad1_scores({}, {})
    with pytest.raises(DataError, match="1 questions have no null odds; the first: b"):
        squad2_scores({"a": [], "b": []}, {}, {"a": 1.0})
