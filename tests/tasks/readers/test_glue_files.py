"""Submissions to GLUE: what is asked for, beside the right answers of each set, their scores."""

import math

import pytest

from kbert.errors import DataError
from kbert.tasks.readers.glue import GLUE
from kbert.tasks.readers.glue_files import glue_scores, read_answers, submission

# Two rows of each set's file in the distributed format, and the answers in them.
FILES = {
    "CoLA": ("s1\t1\t\tIt rains.\ns1\t0\t*\tRains it it.\n", ["1", "0"]),
    "SST-2": ('sentence\tlabel\na "fine film \t1\na bad one \t0\n', ["1", "0"]),
    "MRPC": (
        "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t5\t6\ta\tb\n0\t7\t8\tc\td\n",
        ["1", "0"],
    ),
    "STS-B": (
        "index\tgenre\tsentence1\tsentence2\tscore\n0\tx\ta\tb\t5.000\n1\tx\tc\td\t0.25\n",
        ["5.000", "0.25"],
    ),
    "QQP": (
        "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n70\t1\t2\ta\tb\t0\n9\t3\t4\tc\td\t1\n",
        ["0", "1"],
    ),
    "MNLI": (
        "index\tpromptID\tsentence1\tsentence2\tlabel1\tgold_label\n"
        "0\t1\ta\tb\tneutral\tneutral\n1\t2\tc\td\tneutral\tentailment\n",
        ["neutral", "entailment"],
    ),
    "QNLI": (
        "index\tquestion\tsentence\tlabel\n0\ta\tb\tentailment\n1\tc\td\tnot_entailment\n",
        ["entailment", "not_entailment"],
    ),
    "RTE": (
        "index\tsentence1\tsentence2\tlabel\n0\ta\tb\tnot_entailment\n1\tc\td\tentailment\n",
        ["not_entailment", "entailment"],
    ),
    "WNLI": ("index\tsentence1\tsentence2\tlabel\n0\ta\tb\t0\n1\tc\td\t1\n", ["0", "1"]),
    "AX": (
        "Lexical Semantics\tLogic\tDomain\tPremise\tHypothesis\tLabel\n"
        "\t\tNews\ta\tb\tneutral\nx\t\t\tc\td\tcontradiction\n",
        ["neutral", "contradiction"],
    ),
}


def write(folder, name, content):
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


def submit(folder, answers, indices=None):
    indices = range(len(answers)) if indices is None else indices
    lines = [f"{index}\t{answer}" for index, answer in zip(indices, answers, strict=True)]
    return write(folder, "submission.tsv", "\n".join(["index\tprediction", *lines]) + "\n")


def test_what_is_submitted():
    answers = [{"label": "entailment"}, {"label": "not_entailment"}]
    assert list(submission("RTE", answers)) == [
        "index\tprediction",
        "0\tentailment",
        "1\tnot_entailment",
    ]
    numbers = [{"value": 5.2}, {"value": -0.1}, {"value": 2.34567}]
    assert list(submission("STS-B", numbers))[1:] == ["0\t5.000", "1\t0.000", "2\t2.346"]


@pytest.mark.parametrize("name", FILES)
def test_each_set(tmp_path, name):
    content, answers = FILES[name]
    path = write(tmp_path, "dev.tsv", content)
    found = read_answers(name, path, submit(tmp_path, answers[::-1], [1, 0]))
    assert found == (answers, answers)


def test_the_files_own_numbers(tmp_path):
    content, answers = FILES["QQP"]
    path = write(tmp_path, "dev.tsv", content)
    found = read_answers("QQP", path, submit(tmp_path, ["1", "0"], ["9", "70"]))
    assert found == (answers, ["0", "1"])


@pytest.mark.parametrize(
    ("name", "file", "rows"),
    [
        ("CoLA", "CoLA/dev.tsv", 1043),
        ("SST-2", "SST-2/dev.tsv", 872),
        ("MRPC", "MRPC/dev.tsv", 408),
        ("STS-B", "STS-B/dev.tsv", 1500),
        ("QNLI", "QNLI/dev.tsv", 5463),
        ("WNLI", "WNLI/dev.tsv", 71),
    ],
)
def test_distributed_files(shared_data, tmp_path, name, file, rows):
    path = shared_data("glue") / file
    some = (*GLUE[name].labels, "1")[0]
    gold, predicted = read_answers(name, path, submit(tmp_path, [some] * rows))
    assert (len(gold), set(predicted)) == (rows, {some})


@pytest.mark.parametrize(
    ("indices", "answers", "expected"),
    [
        ([0, 0], ["1", "1"], "line 3: expected each index once. '0' stands in .*line 2 too"),
        ([0, 2], ["1", "1"], "a prediction for index 1, .*dev.tsv, line 2. Found none"),
        ([0, 1, 2], ["1", "1", "0"], "line 4: .*dev.tsv has no row with the index '2'"),
        ([0, 1], ["1", "yes"], "submission.tsv, line 3: expected one of 0, 1. Received: 'yes'"),
    ],
)
def test_refuses(tmp_path, indices, answers, expected):
    path = write(tmp_path, "dev.tsv", FILES["CoLA"][0])
    with pytest.raises(DataError, match=expected):
        read_answers("CoLA", path, submit(tmp_path, answers, indices))


def test_a_score_is_a_number(tmp_path):
    path = write(tmp_path, "dev.tsv", FILES["STS-B"][0])
    with pytest.raises(DataError, match="line 2: expected a number. Received: 'nan'"):
        read_answers("STS-B", path, submit(tmp_path, ["nan", "1"]))


def test_two_labels_by_hand():
    gold, predicted = list("1110000"), list("1101000")
    # 2 true positives, 1 false positive, 1 false negative, 3 true negatives.
    assert glue_scores("MRPC", gold, predicted) == pytest.approx(
        {"accuracy": 5 / 7, "f1": 2 / 3, "rows": 7}
    )
    assert glue_scores("CoLA", gold, predicted)["matthews"] == pytest.approx(
        (2 * 3 - 1) / math.sqrt(3 * 3 * 4 * 4)
    )


def test_numbers_by_hand():
    scores = glue_scores("STS-B", ["0", "1", "2", "3.0"], ["1", "2", "4", "8"])
    # Deviations (-1.5, -0.5, 0.5, 1.5) and (-2.75, -1.75, 0.25, 4.25).
    pearson = 11.5 / math.sqrt(5 * 28.75)
    assert scores == pytest.approx({"pearson": pearson, "spearman": 1.0, "rows": 4})


@pytest.mark.parametrize("name", ["CoLA", "AX", "STS-B"])
def test_one_answer_for_all_is_no_correlation(name):
    gold = ["entailment", "neutral"] if name == "AX" else ["0", "1"]
    scores = glue_scores(name, gold, [gold[0]] * 2)
    assert all(scores[metric] == 0 for metric in GLUE[name].metrics)
