"""CMRC's scores: segmentation and cases by hand, the common run by brute force, real data."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbert.errors import DataError
from kbert.metrics.cmrc import _f1_score, _segments, _stripped, cmrc_scores


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("iPhone是苹果", ["iphone", "是", "苹", "果"]),
        ("1990年，“大雨”！", ["1990", "年", "大", "雨"]),
        ("in the end 他说ok.", ["in", "the", "end", "他", "说", "ok", "."]),
        ("ω-force开发", ["ωforce", "开", "发"]),
        ("3 cats. 4 dogs.", ["3", "cats", ".", "4", "dogs", "."]),
        ("、，", []),
        ("", []),
    ],
)
def test_segments(text, expected):
    assert _segments(text) == expected


def test_stripped():
    assert _stripped(" 《A-B》:(x) ") == "ab(x)"


def test_by_hand():
    gold = {1: ["光荣和索尼"], 2: ["五月", "5月"], 3: ["山"]}
    scores = cmrc_scores(gold, {1: "是光荣和他", 2: "《5月》", 9: "水"})
    # Three of five characters on both sides, in one run; right; missing.
    assert scores == pytest.approx(
        {
            "F1": 100 * (0.6 + 1) / 3,
            "EM": 100 / 3,
            "AVERAGE": 100 * (0.6 + 2) / 6,
            "TOTAL": 3,
            "SKIP": 1,
        }
    )


@given(st.text("山水火a ", max_size=9), st.text("山水火a ", max_size=9))
def test_f1_by_brute_force(answer, prediction):
    right, found = _segments(answer), _segments(prediction)
    runs = [right[i:j] for i in range(len(right)) for j in range(i + 1, len(right) + 1)]
    common = [
        len(run) for run in runs if any(found[k : k + len(run)] == run for k in range(len(found)))
    ]
    expected = 2 * max(common, default=0) / max(1, len(right) + len(found))
    assert _f1_score(answer, prediction) == pytest.approx(expected)


def test_right_answers_score_all(shared_data):
    path = shared_data("zh/cmrc2018/data_cmrc2018_trial.json")
    gold = {
        question["query_id"]: question["answers"]
        for paragraph in json.loads(path.read_text(encoding="utf-8"))
        for question in paragraph["qas"]
    }
    scores = cmrc_scores(gold, {key: answers[0] for key, answers in gold.items()})
    assert scores == {"AVERAGE": 100, "F1": 100, "EM": 100, "TOTAL": 1002, "SKIP": 0}


def test_no_answer_is_answered_by_nothing():
    scores = cmrc_scores({1: [], 2: [], 3: ["山"]}, {1: "", 2: "水", 3: ""})
    assert (scores["F1"], scores["EM"]) == pytest.approx((100 / 3, 100 / 3))


def test_nothing_to_score():
    with pytest.raises(DataError, match="one question at least"):
        cmrc_scores({}, {})
