"""Each task from its file to answers, as a user types it: a tiny model learns twenty rows."""

import json

import pytest

from apps.cli import main
from tests.tiny_checkpoint import write_checkpoint

NAMES, PLACES = ["ann", "bo", "cara", "dan"], ["rome", "oslo", "lima"]
OTHER = ["met", "saw", "today", "in", "left", "."]
LEVELS = ["never", "hardly", "often", "always"]
CHINESE = list("北京上海人在走了。")
SCORED = "--text-column first --second-column second --label-column score"
VOCABULARY = [*NAMES, *PLACES, *OTHER, *LEVELS, *CHINESE, "##s"]


def regression_rows():
    """How often, 0 or 3, whoever it is."""
    rows = [f"{('never', 'always')[n % 2]}\t{NAMES[n // 2 % 4]}\t{n % 2 * 3}" for n in range(20)]
    return "\n".join(["first\tsecond\tscore", *rows])


def multilabel_rows():
    """A text is about who and what it names."""
    rows = []
    for number in range(20):
        name, place = NAMES[number % 4], PLACES[number % 3]
        named, placed = number % 2 == 0, number % 5 < 3
        words = ["today", *([name] if named else []), *([place] if placed else [])]
        labels = [*(["person"] if named else []), *(["place"] if placed else [])]
        rows.append(json.dumps({"text": " ".join(words), "label": labels}))
    return "\n".join(rows)


def tagging_rows():
    """Ten English and ten Chinese sentences in one file of columns, in IOB1."""
    blocks = []
    for number in range(10):
        name, place = NAMES[number % 4], PLACES[number % 3]
        blocks.append(
            [(name, "I-PER"), ("met", "O"), (name, "I-PER"), ("in", "O"), (place, "I-LOC")]
        )
        city = "北京" if number % 2 else "上海"
        blocks.append(
            [("人", "O"), ("在", "O"), (city[0], "I-LOC"), (city[1], "I-LOC"), ("。", "O")]
        )
    return "\n\n".join("\n".join(f"{word} NN {tag}" for word, tag in block) for block in blocks)


def choice_rows():
    """What always happens is right; two or three choices."""
    rows = []
    for number in range(20):
        label, size = right_choice(number), 2 + number % 2
        choices = [f"{'always' if n == label else 'never'} {NAMES[n]}" for n in range(size)]
        row = {"context": "today", "choices": choices, "label": label}
        rows.append(json.dumps(row | ({"question": "in"} if number % 3 else {})))
    return "\n".join(rows)


def right_choice(number):
    return number // 2 % (2 + number % 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tasks")
    write_checkpoint(folder / "start", VOCABULARY)
    (folder / "regression.tsv").write_text(regression_rows())
    (folder / "multilabel.jsonl").write_text(multilabel_rows())
    (folder / "tagging.conll").write_text(tagging_rows(), encoding="utf-8")
    (folder / "choice.jsonl").write_text(choice_rows())
    return folder


def finetune(folder, task, rows, out, options):
    options = options if "--epochs" in options else f"--epochs 25 {options}"
    command = (
        f"finetune {task} --from {folder}/start --train {rows} --output {out} "
        f"--batch-size 5 --learning-rate 5e-3 --weight-decay 0 --validation-share 0 --dropout 0 "
        f"--encoder-dropout 0 --sequence-length 16 {options}"
    )
    assert main(command.split()) == 0


@pytest.mark.parametrize(
    ("name", "task", "file", "options", "metric"),
    [
        (
            "regression",
            "regression",
            "regression.tsv",
            SCORED,
            "pearson",
        ),
        ("multilabel", "multilabel", "multilabel.jsonl", "--epochs 60 --seed 1", "f1_micro"),
        ("tagging", "tagging", "tagging.conll", "--document-context --valid-tags", "f1"),
        ("crf", "tagging", "tagging.conll", "--crf", "f1"),
        ("choice", "choice", "choice.jsonl", "", "accuracy"),
    ],
)
def test_a_task_from_its_file_to_answers(folder, capsys, name, task, file, options, metric):
    out, rows = folder / name, folder / file
    finetune(folder, task, rows, out, options)
    metrics = folder / f"{name}.json"
    assert main(f"evaluate {out} {rows} --output {metrics} --skip-bad".split()) == 0
    scores = json.loads(metrics.read_text())
    assert scores[metric] >= 0.95
    assert (scores["rows"], scores["rows_bad"]) == (20, 0)
    assert f"{metric:<12}{scores[metric]:.4f}" in capsys.readouterr().out
    answers = folder / f"{name}_answers.jsonl"
    assert main(f"predict {out} {rows} --output {answers}".split()) == 0
    assert capsys.readouterr().out == f"wrote 20 answers to {answers}\n"
    check_answers(name, [json.loads(line) for line in answers.read_text().splitlines()])


def check_answers(name, answers):
    assert len(answers) == 20
    if name == "regression":
        values = [answer["value"] for answer in answers[:2]]
        assert values == pytest.approx([0, 3], abs=0.7)
    elif name == "multilabel":
        assert set(answers[0]["labels"]) == {"person", "place"}
        assert answers[3]["labels"] == []
    elif name == "choice":
        assert [answer["label"] for answer in answers] == list(map(right_choice, range(20)))
        assert [len(answer["probabilities"]) for answer in answers[:2]] == [2, 3]
    else:
        assert [e["text"] for e in answers[0]["entities"]] == ["ann", "ann", "rome"]
        assert [e["text"] for e in answers[1]["entities"]] == ["上海"]


def test_a_submission_to_glue(folder, capsys):
    regression = folder / "submitted"
    finetune(folder, "regression", folder / "regression.tsv", regression, SCORED)
    head = "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2"
    row = "0\ta\tb\tc\td\te\tf\talways\tann"
    (folder / "test.tsv").write_text(f"{head}\n{row}\n")
    out = folder / "STS-B.tsv"
    command = f"predict {regression} {folder}/test.tsv --glue STS-B --output {out}"
    assert main(command.split()) == 0
    first, line = out.read_text().splitlines()
    assert first == "index\tprediction"
    index, number = line.split("\t")
    assert index == "0"
    assert 2 < float(number) <= 4
    assert main(f"predict {regression} {folder}/test.tsv --glue CoLA".split()) == 1
    assert "CoLA needs a model of the task classification" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (
            "finetune regression --from {f}/start --train {f}/bad.tsv --output {f}/no",
            "bad.tsv, line 3: expected a number as label. Received: 'high'",
        ),
        (
            "finetune tagging --from {f}/start --train {f}/bad.conll --output {f}/no",
            "bad.conll, line 2: expected 2 columns as in the first line, received 1",
        ),
        (
            "finetune choice --from {f}/start --train {f}/bad.jsonl --output {f}/no",
            "bad.jsonl, line 1: expected as label a number from 0 to 1",
        ),
        (
            "finetune choice --from {f}/start --train {f}/bad.jsonl --output {f}/no --skip-bad",
            "bad.jsonl: none of its 1 rows fits",
        ),
    ],
)
def test_bad_input_is_one_sentence(folder, capsys, command, expected):
    (folder / "bad.tsv").write_text("text\tlabel\nx\t1\ny\thigh\n")
    (folder / "bad.conll").write_text("Ann B-PER\nLee\n")
    (folder / "bad.jsonl").write_text('{"context": "a", "choices": ["b", "c"], "label": 2}\n')
    assert main(command.format(f=folder).split()) == 1
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1
    assert not (folder / "no").exists()


def test_bad_rows_are_counted_and_reported(folder, capsys):
    (folder / "some.tsv").write_text(
        "text\tlabel\nnever\t1\noften\thigh\nalways\n\nhardly\t2\nin\t3\n"
    )
    command = (
        f"finetune regression --from {folder}/start --train {folder}/some.tsv "
        f"--output {folder}/some --epochs 1 --validation-share 0 --sequence-length 8 --skip-bad"
    )
    assert main(command.split()) == 0
    printed = capsys.readouterr().out
    assert "train: 3 rows, 0 of them cut" in printed
    assert "3 bad rows" in printed
    assert "steps at a rate of 0.001 in " in printed  # The default of an encoder of this width.
    assert "line 3: expected a number as label" in printed
    summary = json.loads((folder / "some/finetune.json").read_text())
    assert summary["rows_bad"] == 3
    assert summary["learning_rate"] == 0.001
