"""The sets of the GLUE benchmark (Wang et al., 2019, arXiv:1804.07461): columns, labels, metrics.

The benchmark calls a set a task. Its files are read as distributed.
"""

import dataclasses
from typing import NamedTuple

from kbert.errors import DataError
from kbert.settings import Settings, setting

BINARY = ("0", "1")
ENTAILED = ("entailment", "not_entailment")
NLI = ("contradiction", "entailment", "neutral")


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
        metrics: of the paper's table 1, as that task names them; the first chooses the epoch.
        labels: what an answer may be; () where it is a number.
        labelled: columns of train.tsv and dev.tsv; of AX, of the diagnostic file with labels.
        unlabelled: columns of test.tsv.
        index: the column of the labelled files that numbers their rows, where there is one.
    """

    task: str
    metrics: tuple[str, ...]
    labels: tuple[str, ...]
    labelled: Columns
    unlabelled: Columns
    index: str | None = None


def columns(text: str, second: str | None, label: str) -> tuple[Columns, Columns]:
    """Those of a set whose files all name them alike."""
    return Columns(text, second, label), Columns(text, second)


MNLI = GlueSet(
    "classification",
    ("accuracy",),
    NLI,
    *columns("sentence1", "sentence2", "gold_label"),
    index="index",
)
GLUE = {
    "CoLA": GlueSet(
        "classification",
        ("matthews",),
        BINARY,
        Columns("3", None, "1", header=False),
        Columns("sentence"),
    ),
    "SST-2": GlueSet("classification", ("accuracy",), BINARY, *columns("sentence", None, "label")),
    "MRPC": GlueSet(
        "classification", ("f1", "accuracy"), BINARY, *columns("#1 String", "#2 String", "Quality")
    ),
    "STS-B": GlueSet(
        "regression",
        ("pearson", "spearman"),
        (),
        *columns("sentence1", "sentence2", "score"),
        index="index",
    ),
    "QQP": GlueSet(
        "classification",
        ("f1", "accuracy"),
        BINARY,
        *columns("question1", "question2", "is_duplicate"),
        index="id",
    ),
    "MNLI": MNLI,
    "MNLI-m": MNLI,
    "MNLI-mm": MNLI,
    "QNLI": GlueSet(
        "classification",
        ("accuracy",),
        ENTAILED,
        *columns("question", "sentence", "label"),
        index="index",
    ),
    "RTE": GlueSet(
        "classification",
        ("accuracy",),
        ENTAILED,
        *columns("sentence1", "sentence2", "label"),
        index="index",
    ),
    "WNLI": GlueSet(
        "classification",
        ("accuracy",),
        BINARY,
        *columns("sentence1", "sentence2", "label"),
        index="index",
    ),
    # Answered by a model of MNLI; the file with labels has other column names.
    "AX": GlueSet(
        "classification",
        ("matthews",),
        NLI,
        Columns("Premise", "Hypothesis", "Label"),
        Columns("sentence1", "sentence2"),
    ),
}


def find_set(name: str) -> str:
    """The name as `GLUE` spells it, from one in any case. Raises DataError."""
    spelled = {known.lower(): known for known in GLUE}
    if name.lower() not in spelled:
        raise DataError(f"Expected one of GLUE's sets {', '.join(GLUE)}. Received: {name}.")
    return spelled[name.lower()]


def trainable(task: str) -> list[str]:
    """The sets for which a task can be fine-tuned: AX has no training file."""
    return [name for name, found in GLUE.items() if found.task == task and name != "AX"]


@dataclasses.dataclass(frozen=True)
class GlueFile(Settings):
    """A file of GLUE as distributed: its name stands for the options of columns."""

    glue: str | None = setting(
        None,
        "a file of GLUE as distributed: stands for the options of columns, and in training for "
        "--metric, where they are not given",
        unset="none",
        choices=GLUE,
    )

    def columns(self, part: str) -> dict[str, str | bool]:
        """The options that the name stands for; `part` is "labelled" or "unlabelled"."""
        if self.glue is None:
            return {}
        columns: Columns = getattr(GLUE[self.glue], part)
        return {name: value for name, value in columns._asdict().items() if value is not None}

    def metric(self) -> dict[str, str]:
        """By which the epoch is chosen."""
        return {} if self.glue is None else {"metric": GLUE[self.glue].metrics[0]}


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
