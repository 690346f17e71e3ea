"""GLUE's sets: each is read in its published format, by options that a user may still change.

The rows of sets that may not be at hand were written here, under the published headers.
"""

import argparse
import itertools

import pytest

from kbert.errors import DataError
from kbert.settings import add_options, from_options
from kbert.tasks import TASKS
from kbert.tasks.classification import ClassificationTask
from kbert.tasks.readers.glue import GLUE, GlueFile, check_model, find_set, trainable
from kbert.tasks.regression import RegressionTask
from tests.tasks.rows import write

MNLI_HEAD = (
    "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\t"
    "sentence1_parse\tsentence2_parse\tsentence1\tsentence2"
)
MNLI_ROW = "0\t1\t1e\tfiction\t( It )\t( No )\t(ROOT It)\t(ROOT No)\tIt is late.\tIt is noon."
# Name -> the labelled file, its first example; the test file, its texts.
FILES = {
    "CoLA": ('x1\t1\t\tShe "left.\nx1\t0\t*\tLeft she did it.\n', ('She "left.', None, "1")),
    "SST-2": ("sentence\tlabel\na fine day \t1\n", ("a fine day ", None, "1")),
    "MRPC": (
        '\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t7\t8\tHe said " no\tNo, he said\n',
        ('He said " no', "No, he said", "1"),
    ),
    "STS-B": (
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n"
        "0\tmain\tf\t2012\t1\tnone\tnone\tA dog runs.\tA dog ran.\t4.250\n",
        ("A dog runs.", "A dog ran.", 4.25),
    ),
    "QQP": (
        "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n5\t1\t2\tWho?\tWhy?\t0\n",
        ("Who?", "Why?", "0"),
    ),
    "MNLI": (
        f"{MNLI_HEAD}\tlabel1\tgold_label\n{MNLI_ROW}\tneutral\tcontradiction\n",
        ("It is late.", "It is noon.", "contradiction"),
    ),
    "MNLI-mm": (
        f"{MNLI_HEAD}\tlabel1\tlabel2\tlabel3\tlabel4\tlabel5\tgold_label\n"
        f"{MNLI_ROW}\tneutral\tneutral\tneutral\tneutral\tneutral\tneutral\n",
        ("It is late.", "It is noon.", "neutral"),
    ),
    "QNLI": (
        "index\tquestion\tsentence\tlabel\n0\tWhen?\tAt noon.\tnot_entailment\n",
        ("When?", "At noon.", "not_entailment"),
    ),
    "RTE": (
        "index\tsentence1\tsentence2\tlabel\n0\tIt rains.\tIt is wet.\tentailment\n",
        ("It rains.", "It is wet.", "entailment"),
    ),
    "WNLI": (
        "index\tsentence1\tsentence2\tlabel\n0\tHe saw it.\tHe saw the sea.\t1\n",
        ("He saw it.", "He saw the sea.", "1"),
    ),
    "AX": (
        "Lexical Semantics\tPredicate-Argument Structure\tLogic\tKnowledge\tDomain\tPremise\t"
        "Hypothesis\tLabel\n\t\tNegation\t\tArtificial\tIt sat.\tIt stood.\tcontradiction\n",
        ("It sat.", "It stood.", "contradiction"),
    ),
}
FILES["MNLI-m"] = FILES["MNLI-mm"]


def task_of(name, part, *options):
    """The task that `--glue NAME` and other options make."""
    parser = argparse.ArgumentParser()
    task = TASKS[GLUE[name].task]
    add_options(parser, GlueFile)
    add_options(parser, task)
    args = parser.parse_args(["--glue", name, *options])
    return from_options(task, args, from_options(GlueFile, args).columns(part))


@pytest.mark.parametrize("name", GLUE)
def test_labelled_rows(tmp_path, name):
    content, expected = FILES[name]
    assert task_of(name, "labelled").read_examples(write(tmp_path, content))[0][:3] == expected


@pytest.mark.parametrize("name", GLUE)
def test_the_metric_is_one_of_the_task(name):
    assert set(GLUE[name].metrics) <= set(TASKS[GLUE[name].task].metric_names)
    assert GlueFile(name).metric() == {"metric": GLUE[name].metrics[0]}


def test_each_set_has_its_metrics():
    # Table 1 of the paper.
    assert {name: set(found.metrics) for name, found in GLUE.items()} == {
        "CoLA": {"matthews"},
        "SST-2": {"accuracy"},
        "MRPC": {"accuracy", "f1"},
        "STS-B": {"pearson", "spearman"},
        "QQP": {"accuracy", "f1"},
        "MNLI": {"accuracy"},
        "MNLI-m": {"accuracy"},
        "MNLI-mm": {"accuracy"},
        "QNLI": {"accuracy"},
        "RTE": {"accuracy"},
        "WNLI": {"accuracy"},
        "AX": {"matthews"},
    }


def test_names_of_sets():
    assert find_set("mnli-mm") == "MNLI-mm" and find_set("cola") == "CoLA"
    with pytest.raises(DataError, match="one of GLUE's sets CoLA, .* Received: copa"):
        find_set("copa")


def test_options_beside_it_win():
    given = task_of("CoLA", "labelled", "--text-column", "2", "--header")
    assert (given.text_column, given.label_column, given.header) == ("2", "1", True)


def test_ax_is_not_for_training():
    names = trainable("classification") + trainable("regression")
    assert set(names) == set(GLUE) - {"AX"}
    assert trainable("tagging") == []


@pytest.mark.parametrize(
    ("name", "part", "file", "rows"),
    [
        ("CoLA", "labelled", "CoLA/dev.tsv", 1043),
        ("CoLA", "unlabelled", "CoLA/test.tsv", 1063),
        ("SST-2", "labelled", "SST-2/dev.tsv", 872),
        ("SST-2", "unlabelled", "SST-2/test.tsv", 1821),
        ("MRPC", "labelled", "MRPC/train.tsv", 3667),
        ("MRPC", "unlabelled", "MRPC/test.tsv", 1725),
        ("STS-B", "labelled", "STS-B/train.tsv", 5749),
        ("STS-B", "unlabelled", "STS-B/test.tsv", 1379),
        ("QNLI", "labelled", "QNLI/dev.tsv", 5463),
        ("QNLI", "unlabelled", "QNLI/test.tsv", 5463),
        ("WNLI", "labelled", "WNLI/train.tsv", 635),
        ("WNLI", "unlabelled", "WNLI/test.tsv", 146),
        ("AX", "unlabelled", "diagnostic/diagnostic.tsv", 1104),
    ],
)
def test_files_as_they_are_published(shared_data, name, part, file, rows):
    path = shared_data(f"glue/{file}")
    task = task_of(name, part)
    examples = task.read_examples(path, labelled=part == "labelled")
    assert len(examples) == rows
    if part == "labelled" and GLUE[name].labels:
        assert set(task.prepare(examples, file).labels) == set(GLUE[name].labels)
    if part == "unlabelled":
        # A submission numbers the rows as the file does.
        with open(path, encoding="utf-8") as lines:
            numbers = [line.split("\t")[0] for line in itertools.islice(lines, 1, None)]
        assert numbers == [str(row) for row in range(rows)]


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("RTE", ClassificationTask(labels=("0", "1"))),
        ("STS-B", ClassificationTask(labels=("0", "1"))),
        ("CoLA", RegressionTask()),
    ],
)
def test_another_task_cannot_submit(name, task):
    with pytest.raises(
        DataError, match=f"{name} needs a model of the task .* Received: {task.name}"
    ):
        check_model(name, task)
    check_model("STS-B", RegressionTask())
    check_model("CoLA", ClassificationTask(labels=("0", "1")))
