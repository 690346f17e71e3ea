"""`kbert predict`: what it reads has an answer in its place, its end leaves nothing behind."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

import kbert
from apps.cli import main
from kbert import ClassificationTask, MultipleChoiceTask, TaggingTask, save
from kbert.errors import DataError
from tests.conftest import ROOT
from tests.tiny_checkpoint import random_checkpoint

WORDS = "the film was good bad 東 京 we saw it".split()
TASKS = {
    "topics": ClassificationTask(labels=("東京", "rest"), sequence_length=8),
    "story": MultipleChoiceTask(sequence_length=16),
    "names": TaggingTask(labels=("LOC", "PER"), sequence_length=16),
}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder with a checkpoint of random weights for each task."""
    folder = tmp_path_factory.mktemp("predict")
    for name, task in TASKS.items():
        save(folder / name, random_checkpoint(WORDS, task, max_sequence_length=32))
    return folder


def predict(capsys, *args):
    """The answers, and what was printed beside them."""
    code = main(["predict", *map(str, args)])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return [json.loads(line) for line in printed.out.splitlines()], printed.err


def refused(capsys, *args):
    assert main(["predict", *map(str, args)]) == 1
    printed = capsys.readouterr()
    assert not printed.out and printed.err.count("\n") == 1
    return printed.err


def test_an_empty_line_has_an_answer_in_its_place(models, tmp_path, capsys, monkeypatch):
    content = "good film\n\nbad film\n \n"
    (tmp_path / "texts.txt").write_text(content)
    answers, _ = predict(capsys, models / "topics", tmp_path / "texts.txt")
    assert len(answers) == 4
    assert answers[1] == answers[3] != answers[0]
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(content.encode())))
    assert predict(capsys, models / "topics", "-")[0] == answers
    tagged, _ = predict(capsys, models / "names", tmp_path / "texts.txt")
    assert tagged[1] == {"tokens": [], "tags": [], "entities": []}
    rows = "".join(json.dumps({"text": text}) + "\n" for text in content.splitlines())
    (tmp_path / "rows.jsonl").write_text(rows)
    of_rows, _ = predict(capsys, models / "topics", tmp_path / "rows.jsonl")
    for found, expected in zip(of_rows, answers, strict=True):
        assert found["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-6)


def test_in_python(models, tmp_path, capsys):
    texts = ["good film", "", "東京"]
    (tmp_path / "texts.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
    answers, _ = predict(capsys, models / "topics", tmp_path / "texts.txt")
    assert kbert.predict(models / "topics", texts) == answers
    with pytest.raises(DataError, match="Instance 1: expected a text"):
        kbert.predict(models / "topics", ["a", 5])


def test_bad_lines_stop_or_are_counted(models, tmp_path, capsys):
    (tmp_path / "texts.txt").write_bytes(b"good film\n\xff\nbad film\n")
    error = refused(capsys, models / "topics", tmp_path / "texts.txt", "--output", tmp_path / "out")
    assert "texts.txt, line 2: expected UTF-8" in error
    assert os.listdir(tmp_path) == ["texts.txt"]
    answers, notes = predict(capsys, models / "topics", tmp_path / "texts.txt", "--skip-bad")
    assert [*answers[1]] == ["error"] and "label" in answers[0] and "label" in answers[2]
    assert notes.count("texts.txt, line 2: expected UTF-8") == 1 and "1 bad rows" in notes


def test_reads_what_evaluate_reads(models, tmp_path, capsys):
    """RACE's folders of .txt files, and rows in .txt files of other tasks."""
    article = {
        "article": "we saw the film",
        "questions": ["it was", "we"],
        "options": [["good", "bad"], ["saw", "was"]],
        "answers": ["A", "B"],
    }
    (tmp_path / "race").mkdir()
    for name in ("1.txt", "2.txt"):
        (tmp_path / "race" / name).write_text(json.dumps(article, indent=1))
    one, _ = predict(capsys, models / "story", tmp_path / "race" / "1.txt")
    both, _ = predict(capsys, models / "story", tmp_path / "race")
    assert [answer["choice"] in ("good", "bad") for answer in one] == [True, False]
    assert [answer["label"] for answer in both] == [answer["label"] for answer in one * 2]
    (tmp_path / "table.txt").write_text("label\ttext\nrest\tgood film\n")
    assert len(predict(capsys, models / "topics", tmp_path / "table.txt")[0]) == 1
    (tmp_path / "words.txt").write_text("we B-PER\nsaw O\n\nthe O\n")
    found, _ = predict(capsys, models / "names", tmp_path / "words.txt")
    assert [answer["tokens"] for answer in found] == [["we", "saw"], ["the"]]


def test_the_same_file_gives_the_same_bytes(models, tmp_path, capsys):
    rng = np.random.default_rng(0)
    lines = [" ".join(rng.choice(WORDS, rng.integers(1, 12))) for _ in range(300)]
    (tmp_path / "texts.txt").write_text("\n".join(lines))
    outputs = []
    for name in ("one", "two"):
        main(f"predict {models}/topics {tmp_path}/texts.txt --output {tmp_path}/{name}".split())
        outputs.append((tmp_path / name).read_bytes())
    assert outputs[0] == outputs[1]
    printed = capsys.readouterr()
    assert f"wrote 300 answers to {tmp_path}/two" in printed.out
    cut = sum(len(line.split()) > 6 for line in lines)
    assert f"{cut} texts were cut to 8 tokens" in printed.err


def test_the_input_is_not_overwritten(models, tmp_path, capsys):
    texts = tmp_path / "texts.txt"
    texts.write_text("good film\n")
    (tmp_path / "link").symlink_to(texts)
    os.link(texts, tmp_path / "other name")
    for output in (texts, tmp_path / "link", tmp_path / "other name"):
        error = refused(capsys, models / "topics", texts, "--output", output)
        assert "would be overwritten, but it is the file to read" in error
    assert texts.read_text() == "good film\n"


@pytest.fixture
def start(models):
    """`start(*options)`: the command in a process of its own, behind pipes, with its first line."""
    pipes = {name: subprocess.PIPE for name in ("stdin", "stdout", "stderr")}
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT)}

    def start(*options):
        command = [sys.executable, "-m", "apps.predict", models / "topics", *options]
        process = subprocess.Popen(command, env=environment, cwd=ROOT, **pipes)
        process.stdin.write("東京\n".encode())
        process.stdin.flush()
        return process

    return start


def test_sigterm_leaves_no_unfinished_file(start, tmp_path):
    (tmp_path / "out").write_text("of the run before")
    with start("-", "--output", tmp_path / "out") as process:
        while len(os.listdir(tmp_path)) < 2:  # The temporary file.
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143
    assert os.listdir(tmp_path) == ["out"]
    assert (tmp_path / "out").read_text() == "of the run before"


@pytest.mark.slow
def test_ctrl_c_while_it_waits_for_a_line(start):
    """And what it prints is UTF-8, whatever stdout is said to be."""
    with start() as process:
        answer = json.loads(process.stdout.readline().decode("utf-8"))
        assert set(answer["probabilities"]) == {"東京", "rest"}
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr.read().decode().splitlines()[-1] == "kbert predict: interrupted."


def test_answers_as_a_table_beside_what_was_asked(models, tmp_path, capsys):
    (tmp_path / "texts.txt").write_bytes(b"\xff\ngood film\n\n")
    command = f"predict {models}/topics {tmp_path}/texts.txt --skip-bad --with-input --output"
    for name, delimiter in (("out.tsv", "\t"), ("out.csv", ",")):
        assert main([*command.split(), str(tmp_path / name)]) == 0
        with open(tmp_path / name, encoding="utf-8", newline="") as file:
            bad, good, empty = csv.DictReader(file, delimiter=delimiter)
        assert "line 1: expected UTF-8" in bad["error"] and not bad["label"]
        assert (good["input"], empty["input"]) == ("good film", "")
        assert json.loads(good["probabilities"])[good["label"]] == float(good["score"])
    capsys.readouterr()
    rows, _ = predict(capsys, models / "story", "--with-input", write_choices(tmp_path))
    assert rows[0]["input"] == {"context": "we", "question": None, "choices": ["saw", "was"]}
    assert "no option n_best" in refused(capsys, models / "topics", "--n-best", 3)


def write_choices(folder):
    path = folder / "rows.jsonl"
    path.write_text(json.dumps({"context": "we", "choices": ["saw", "was"]}))
    return path


def test_names_of_rows_stand_beside_their_answers(models, tmp_path, capsys):
    (tmp_path / "rows.csv").write_text("id,text\na7,good film\n007,bad film\n")
    (tmp_path / "rows.jsonl").write_text('{"id": 5, "text": "good film"}\n')
    for name, expected in (("rows.csv", ["a7", "007"]), ("rows.jsonl", ["5"])):
        found, _ = predict(capsys, models / "topics", tmp_path / name, "--id-column", "id")
        assert [answer["id"] for answer in found] == expected
        assert list(found[0])[:2] == ["id", "label"]
    assert "has no column 'key'" in refused(
        capsys, models / "topics", tmp_path / "rows.csv", "--id-column", "key"
    )
