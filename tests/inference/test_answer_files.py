"""Files answered in parts: stopped anywhere, the same call goes on to the same bytes."""

import csv
import io
import json

import numpy as np
import pytest

from kbert.errors import DataError
from kbert.inference import answer_files as module
from kbert.inference import pieces
from kbert.inference.answer_files import AnswerJob, answer_files
from kbert.inference.answer_rows import answer_rows
from kbert.inference.answerer import Answerer
from kbert.inference.forward import Forward
from kbert.tasks.classification import ClassificationTask
from kbert.text.python_tokenizer import PythonTokenizer

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"the film was good bad".split()]
TASK = ClassificationTask(labels=("a", "b"), sequence_length=6)


class Model:
    """Numbers that tell texts apart; stops, if told, at one of its passes."""

    def __init__(self, stop_at=None):
        self.stop_at = stop_at
        self.passes = 0

    def run(self, inputs):
        self.passes += 1
        if self.passes == self.stop_at:
            raise KeyboardInterrupt
        ids = inputs["token_ids"]
        return {"logits": np.stack([ids.sum(axis=1) / 30, ids.max(axis=1) / 9], axis=1)}


def answer(job, output, model):
    answerer = Answerer(TASK, PythonTokenizer(VOCABULARY), Forward(model.run))
    return answer_files(answerer, job, str(output))


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(pieces, "AT_ONCE", 4)
    monkeypatch.setattr(module, "_SECONDS_BETWEEN_SAVES", -1)


@pytest.fixture
def job(tmp_path):
    """Two bad lines among 25, then 6 rows of a table: seven pieces and two."""
    (tmp_path / "model").mkdir()
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(VOCABULARY[5:], rng.integers(1, 9))) for _ in range(31)]
    lines = [text.encode() for text in texts[:25]]
    lines[0] = lines[9] = b"\xff"
    (tmp_path / "lines.txt").write_bytes(b"\n".join(lines))
    (tmp_path / "rows.tsv").write_text("\n".join(["text", *texts[25:]]) + "\n")
    files = [str(tmp_path / name) for name in ("lines.txt", "rows.tsv")]
    return AnswerJob(str(tmp_path / "model"), files, skip_bad=True)


@pytest.mark.parametrize("name", ["out.jsonl", "out.tsv"])
def test_stopped_anywhere_it_goes_on_to_the_same_bytes(job, tmp_path, name):
    whole = tmp_path / f"whole-{name}"
    model = Model()
    summary = answer(job, whole, model)
    assert (summary["answers"], summary["rows_bad"], model.passes) == (31, 2, 9)
    for stop_at in range(1, 10):
        output = tmp_path / name
        output.write_text("of a run before")
        stopped, model = Model(stop_at), Model()
        with pytest.raises(KeyboardInterrupt):
            answer(job, output, stopped)
        assert output.read_text() == "of a run before"
        assert answer(job, output, model) == summary
        assert output.read_bytes() == whole.read_bytes()
        assert model.passes == 9 - (stop_at - 1)  # Nothing is computed twice.
        assert not (tmp_path / f"{name}.unfinished").exists()


def test_tables_and_lines_say_the_same(job, tmp_path):
    for name in ("out.jsonl", "out.tsv"):
        answer(job, tmp_path / name, Model())
    lines = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    with open(tmp_path / "out.tsv", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    for line, row in zip(lines, rows, strict=True):
        assert (row["label"] or None, row["error"] or None) == (
            line.get("label"),
            line.get("error"),
        )


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", 'a "b"', "a\tb, c"])
@pytest.mark.parametrize(("name", "delimiter"), [("a.csv", ","), ("a.tsv", "\t")])
def test_a_cell_of_a_table_may_hold_anything(name, delimiter, text):
    lines = list(answer_rows([{"text": text, "label": "x"}], name, False))
    content = "\n".join(lines) + "\n"
    assert list(csv.reader(io.StringIO(content, newline=""), delimiter=delimiter)) == [
        ["text", "label"],
        [text, "x"],
    ]


def test_what_was_written_but_not_counted_is_written_again(job, tmp_path, monkeypatch):
    """A kill between the answers and the save that counts them, or within an answer."""
    answer(job, tmp_path / "whole", Model())
    monkeypatch.setattr(module, "_SECONDS_BETWEEN_SAVES", 1e9)
    output = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        answer(job, output, Model(stop_at=4))
    found = tmp_path / "out.unfinished" / "answers.jsonl"
    assert found.read_bytes().count(b"\n") == 12
    found.write_bytes(found.read_bytes()[:-7])
    answer(job, output, Model())
    assert output.read_bytes() == (tmp_path / "whole").read_bytes()


def test_another_job_does_not_go_on(job, tmp_path):
    output = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        answer(job, output, Model(stop_at=3))
    (tmp_path / "model" / "weights").touch()
    with pytest.raises(
        DataError, match=r"out\.unfinished holds a run with other settings: .*model"
    ):
        answer(job, output, Model())
    (tmp_path / "model" / "weights").unlink()
    assert answer(job, output, Model())["answers"] == 31


def test_an_error_in_the_input_leaves_nothing(job, tmp_path):
    stops = AnswerJob(job.model, job.files)
    with pytest.raises(DataError, match="line 1: expected UTF-8"):
        answer(stops, tmp_path / "out", Model())
    assert not list(tmp_path.glob("out*"))
