"""`kbert score`, as a user types it."""

import json
import subprocess
import sys

import pytest

from apps.cli import main
from tests.conftest import ROOT


def answer(start, text):
    return {"text": text, "answer_start": start}


@pytest.fixture
def folder(tmp_path):
    questions = [
        {"id": "a", "question": "Who?", "answers": [answer(0, "Ada")]},
        {"id": "b", "question": "Where?", "answers": [answer(13, "the lake house")]},
    ]
    none = {"id": "c", "question": "Why?", "answers": [], "is_impossible": True}
    files = {
        "one.json": dataset(questions),
        "two.json": dataset([*questions, none]),
        "twice.json": dataset([*questions, questions[0]]),
        "predictions.json": {"a": "Ada.", "b": "house", "c": "lake"},
        "odds.json": {"a": -2.0, "b": 0.5, "c": 3.0},
        "few.json": {"a": 0.0},
    }
    for name, value in files.items():
        (tmp_path / name).write_text(json.dumps(value), encoding="utf-8")
    texts = {
        "tags.txt": "Ada B-PER B-PER\nin O O\nRome B-LOC O\n",
        "bioes.csv": "Ada,S-PER,S-PER\nBob,S-PER,S-PER\n",
        "ragged.txt": "Ada O O\nRome O\n",
        "dev.tsv": "sentence\tlabel\nfine\t1\nbad\t0\n",
        "SST-2.tsv": "index\tprediction\n0\t1\n1\t1\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def dataset(questions):
    context = "Ada lives in the lake house."
    return {"version": "x", "data": [{"paragraphs": [{"context": context, "qas": questions}]}]}


def score(capsys, folder, command):
    words = [f"{folder}/{word}" if "." in word else word for word in command.split()]
    assert main(["score", *words]) == 0
    captured = capsys.readouterr()
    return json.loads(captured.out), captured.err


def test_squad_1(capsys, folder):
    scores, _ = score(capsys, folder, "squad one.json predictions.json")
    # "house" is one of the two words of "lake house".
    assert scores == pytest.approx(
        {"exact_match": 50, "exact": 50, "f1": 100 * (1 + 2 / 3) / 2, "total": 2}
    )


def test_squad_2(capsys, folder):
    scores, _ = score(capsys, folder, "squad two.json predictions.json")
    assert scores["exact"] == pytest.approx(100 / 3) and scores["NoAns_exact"] == 0
    scores, _ = score(
        capsys, folder, "squad two.json predictions.json --null-odds odds.json --threshold 1"
    )
    assert scores["exact"] == pytest.approx(200 / 3)
    assert (scores["best_f1_thresh"], scores["HasAns_total"]) == (0.5, 2)


def test_cmrc(capsys, folder):
    scores, _ = score(capsys, folder, "cmrc one.json predictions.json")
    assert (scores["TOTAL"], scores["SKIP"], scores["EM"]) == (2, 0, 0)
    # The full stop is a segment of its own; "house" one of three.
    assert scores["F1"] == pytest.approx(100 * (2 / 3 + 0.5) / 2)


def test_conll(capsys, folder):
    scores, note = score(capsys, folder, "conll tags.txt")
    assert (scores["precision"], scores["recall"]) == (100, 50)
    assert scores["types"]["LOC"]["FB1"] == 0 and note == ""


def test_conll_and_bioes(capsys, folder):
    scores, note = score(capsys, folder, "conll bioes.csv --delimiter ,")
    assert scores["phrases"] == 1 and "--bioes keeps them apart" in note
    scores, note = score(capsys, folder, "conll bioes.csv --delimiter , --bioes")
    assert scores["phrases"] == 2 and note == ""


def test_glue(capsys, folder):
    # No file here: the set's name has no dot.
    assert score(capsys, folder, "glue sst-2 dev.tsv SST-2.tsv")[0] == {"accuracy": 0.5, "rows": 2}


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("squad none.json predictions.json", "No such file or directory: "),
        ("squad tags.txt predictions.json", "tags.txt, line 1: expected JSON"),
        ("squad twice.json predictions.json", "question a: expected each id once"),
        ("squad one.json predictions.json --null-odds odds.json", "every question has an answer"),
        ("squad two.json predictions.json --null-odds few.json", "2 questions have no null odds"),
        ("squad one.json dev.tsv", "dev.tsv, line 1: expected JSON"),
        ("conll ragged.txt", "ragged.txt, line 2: expected 3 columns"),
        ("glue copa dev.tsv SST-2.tsv", "Expected one of GLUE's sets"),
        ("glue cola dev.tsv SST-2.tsv", "dev.tsv, line 1: expected one of 0, 1"),
    ],
)
def test_bad_input_is_one_sentence(capsys, folder, command, expected):
    words = [f"{folder}/{word}" if "." in word else word for word in command.split()]
    assert main(["score", *words]) == 1
    error = capsys.readouterr().err
    assert error.startswith("kbert score: error: ") and expected in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("command", ["", "bleu", "squad", "conll", "glue CoLA"])
def test_usage_errors_exit_with_2(command):
    with pytest.raises(SystemExit) as stop:
        main(["score", *command.split()])
    assert stop.value.code == 2


def test_needs_no_tensorflow(folder):
    code = (
        "import sys; sys.modules['tensorflow'] = None; from apps.cli import main;"
        f"code = main(['score', 'glue', 'SST-2', '{folder}/dev.tsv', '{folder}/SST-2.tsv']);"
        "sys.exit(code or ('keras' in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
