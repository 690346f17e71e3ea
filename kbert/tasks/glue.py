"""The GLUE benchmark's files as distributed: their columns, official scores and submissions.

A submission is a file for each set, `index<TAB>prediction` with that header, one line for each row
of test.tsv in order, counted from 0 (https://gluebenchmark.com/faq).
"""

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from kbert.errors import DataError

NLI = ("contradiction", "entailment", "neutral")
BINARY = ("0", "1")
ENTAILED = ("entailment", "not_entailment")


class Columns(NamedTuple):
    """Columns of a file; the names are those of the tasks' options."""

    text_column: str
    second_column: str | None = None
    label_column: str | None = None
    header: bool = True


class GlueSet(NamedTuple):
    """One of the sets.

    Attributes:
        task: the name of kbert's task.
        metrics: the official scores, as that task names them.
        labelled: columns of train.tsv and dev.tsv; of AX, of the diagnostic file with labels.
        unlabelled: columns of test.tsv.
        labels: what a submission may say; () where it is a number.
    """

    task: str
    metrics: tuple[str, ...]
    labelled: Columns
    unlabelled: Columns
    labels: tuple[str, ...]


def pairs(first: str, second: str, label: str) -> tuple[Columns, Columns]:
    return Columns(first, second, label), Columns(first, second)


MNLI = GlueSet("classification", ("accuracy",), *pairs("sentence1", "sentence2", "gold_label"), NLI)
GLUE = {
    "CoLA": GlueSet(
        "classification",
        ("matthews",),
        Columns("3", None, "1", header=False),
        Columns("sentence"),
        BINARY,
    ),
    "SST-2": GlueSet(
        "classification",
        ("accuracy",),
        Columns("sentence", None, "label"),
        Columns("sentence"),
        BINARY,
    ),
    "MRPC": GlueSet(
        "classification", ("f1", "accuracy"), *pairs("#1 String", "#2 String", "Quality"), BINARY
    ),
    "STS-B": GlueSet(
        "regression", ("pearson", "spearman"), *pairs("sentence1", "sentence2", "score"), ()
    ),
    "QQP": GlueSet(
        "classification",
        ("f1", "accuracy"),
        *pairs("question1", "question2", "is_duplicate"),
        BINARY,
    ),
    "MNLI": MNLI,
    "MNLI-m": MNLI,
    "MNLI-mm": MNLI,
    "QNLI": GlueSet(
        "classification", ("accuracy",), *pairs("question", "sentence", "label"), ENTAILED
    ),
    "RTE": GlueSet(
        "classification", ("accuracy",), *pairs("sentence1", "sentence2", "label"), ENTAILED
    ),
    "WNLI": GlueSet(
        "classification", ("accuracy",), *pairs("sentence1", "sentence2", "label"), BINARY
    ),
    # Answered by a model of MNLI; the file with labels has other column names.
    "AX": GlueSet(
        "classification",
        ("matthews",),
        Columns("Premise", "Hypothesis", "Label"),
        Columns("sentence1", "sentence2"),
        NLI,
    ),
}


def trainable(task: str) -> list[str]:
    """The sets for which a task can be fine-tuned: AX has no training file."""
    return [name for name, found in GLUE.items() if found.task == task and name != "AX"]


def add_argument(parser, names: Sequence[str], part: str) -> None:
    """Add `--glue NAME` where there are names; `part` is "labelled" or "unlabelled"."""
    if names:
        parser.add_argument(
            "--glue",
            choices=names,
            action=FillColumns,
            part=part,
            help="a file of GLUE as distributed: stands for the options of columns, and in "
            "training for --metric; options behind it win",
        )


class FillColumns(argparse.Action):
    """`--glue NAME` fills the options that say where the columns are."""

    def __init__(self, *args, part: str, **kwargs):
        super().__init__(*args, **kwargs)
        self.part = part

    def __call__(self, parser, namespace, value, option_string=None):
        found = GLUE[value]
        columns: Columns = getattr(found, self.part)
        filled = columns._asdict() | {"no_header": not columns.header, self.dest: value}
        if hasattr(namespace, "metric"):
            filled["metric"] = found.metrics[0]
        for name, column in filled.items():
            setattr(namespace, name, column)


def check_model(name: str, task) -> None:
    """Raises DataError for a task whose answers are none for this set."""
    wanted = GLUE[name]
    labels = tuple(getattr(task, "labels", ()))
    if task.name != wanted.task or set(labels) != set(wanted.labels):
        answers = f"the labels {', '.join(wanted.labels)}" if wanted.labels else "numbers"
        raise DataError(
            f"{name} needs a model of the task {wanted.task} that answers {answers}. "
            f"Received: {task.name} {', '.join(labels)}".rstrip()
            + "."
        )


def submission(name: str, answers: Iterable[Mapping]) -> Iterator[str]:
    """The lines of a submission, without their ends, from a model's answers to test.tsv."""
    yield "index\tprediction"
    for index, answer in enumerate(answers):
        yield f"{index}\t{prediction(name, answer)}"


def prediction(name: str, answer: Mapping) -> str:
    if GLUE[name].task == "regression":
        # STS-B's scores lie from 0 to 5; a model may go beyond.
        return f"{min(max(answer['value'], 0.0), 5.0):.3f}"
    return answer["label"]
