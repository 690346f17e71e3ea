"""Entity scores: by hand, and conlleval's own result on its sample output."""

import re

import pytest

from kbert.metrics.conll import chunks, conll_scores


def test_by_hand():
    gold = ["B-PER I-PER O B-LOC".split(), "B-LOC O".split()]
    predicted = ["B-PER I-PER O B-PER".split(), "B-LOC B-LOC".split()]
    scores = conll_scores(gold, predicted)
    assert (scores["phrases"], scores["found"], scores["correct"]) == (3, 4, 2)
    assert scores["precision"] == pytest.approx(50)
    assert scores["recall"] == pytest.approx(100 * 2 / 3)
    assert scores["FB1"] == pytest.approx(100 * 2 * (1 / 2) * (2 / 3) / (1 / 2 + 2 / 3))
    assert scores["accuracy"] == pytest.approx(100 * 4 / 6)
    assert scores["types"]["PER"]["found"] == 2


def test_nothing_to_find():
    assert conll_scores([["O"]], [["O"]])["FB1"] == 0.0


def test_chunks_by_hand():
    assert chunks("I-A B-A I-B O I-B".split()) == [
        (0, 1, "A"),
        (1, 2, "A"),
        (2, 3, "B"),
        (4, 5, "B"),
    ]


def test_equals_conlleval(shared_data):
    folder = shared_data("reference/conlleval")
    gold, predicted = [[]], [[]]
    for line in (folder / "output.txt").read_text().splitlines():
        cells = line.split()
        if cells:
            gold[-1].append(cells[-2])
            predicted[-1].append(cells[-1])
        else:
            gold.append([])
            predicted.append([])
    scores = conll_scores(gold, predicted)
    result = (folder / "result.txt").read_text().splitlines()
    counts = [scores[name] for name in ("tokens", "phrases", "found", "correct")]
    assert counts == list(map(int, re.findall(r"\d+", result[0])))
    rates = [scores[name] for name in ("accuracy", "precision", "recall", "FB1")]
    assert [f"{rate:.2f}" for rate in rates] == re.findall(r"\d+\.\d+", result[1])
    for line in result[2:]:
        of_type = scores["types"][line.partition(":")[0].strip()]
        rates = [of_type[key] for key in ("precision", "recall", "FB1")]
        assert [f"{rate:.2f}" for rate in rates] == re.findall(r"\d+\.\d+", line)
        assert of_type["found"] == int(line.split()[-1])
