"""Which learning rate fine-tunes an encoder of which width: the table behind the default.

    python benchmarks/learning_rates.py --output RUNS --english CHECKPOINT ... --chinese CHECKPOINT
    python benchmarks/learning_rates.py --output RUNS --table

Three epochs of 1,000 rows, 32 a step, with each of `RATES` and `SEEDS`: topics, tags and pairs of
texts in each language, from the folder KBERT_DATA (default ../shared/data). The scores are those of
the kept epoch on held-out rows. Stopped at any moment, the same command does the runs that are
missing, one seed after the other; `--rates`, `--seeds` and `--only` run some.
"""

import argparse
import itertools
import json
import pathlib
import statistics
from typing import NamedTuple

from downstream import DATA, split_wikigold

from kbert.finetuning.settings import FinetuningSettings
from kbert.finetuning.several_runs import REPORT, finetune_several, grid
from kbert.tasks.base import Task
from kbert.tasks.classification import ClassificationTask
from kbert.tasks.tagging import TaggingTask

ROWS = 1000
RATES = (5e-5, 2e-4, 4e-4, 8e-4, 1.6e-3)
SEEDS = (0, 1, 2)
ONE_TEXT = {"text_column": "0", "label_column": "1", "header": False}


class Data(NamedTuple):
    """A task, its training and its held-out rows."""

    task: Task
    train: pathlib.Path
    held_out: pathlib.Path


def english(made: pathlib.Path) -> dict[str, Data]:
    topics = first_lines(DATA / "ag_news/alps_dev_from_train.tsv", made / "ag_news", ROWS, 500)
    sentences = {"text_column": "#1 String", "second_column": "#2 String"}
    mrpc = DATA / "glue/MRPC"
    return {
        "AG News": Data(ClassificationTask(**ONE_TEXT, sequence_length=64), *topics),
        "wikigold": Data(TaggingTask(sequence_length=64), *split_wikigold(made)),
        "MRPC": Data(
            ClassificationTask(**sentences, label_column="Quality", sequence_length=64),
            mrpc / "train.tsv",
            mrpc / "dev.tsv",
        ),
    }


def chinese(made: pathlib.Path) -> dict[str, Data]:
    zh = DATA / "zh"
    titles = first_lines(zh / "thucnews_titles/dev.txt", made / "titles", ROWS, 500)
    pairs = {"text_column": "0", "second_column": "1", "label_column": "2"}
    afqmc = first_lines(zh / "csts/AFQMC/train.txt", made / "afqmc", ROWS, 500)
    return {
        "THUCNews titles": Data(ClassificationTask(**ONE_TEXT, sequence_length=64), *titles),
        "résumés": Data(
            TaggingTask(sequence_length=64),
            zh / "resume_ner/train.char.bmes",
            zh / "resume_ner/dev.char.bmes",
        ),
        "AFQMC": Data(ClassificationTask(**pairs, header=False, sequence_length=64), *afqmc),
    }


def first_lines(
    source: pathlib.Path, stem: pathlib.Path, rows: int, held_out: int
) -> tuple[pathlib.Path, pathlib.Path]:
    """The first `rows` rows of a TSV file, and the `held_out` ones behind them, as two files."""
    with open(source, encoding="utf-8", newline="\n") as file:
        first = file.readline()
        whole = (line for line in file if line.count("\t") == first.count("\t"))
        lines = [first, *itertools.islice(whole, rows + held_out - 1)]
    files = stem.with_suffix(".train.tsv"), stem.with_suffix(".held_out.tsv")
    for path, part in zip(files, (lines[:rows], lines[rows:]), strict=True):
        path.write_text("".join(part), encoding="utf-8", newline="\n")
    return files


def table(output: pathlib.Path) -> str:
    """A row for each encoder and data, a column for each rate: mean and deviation over the seeds.

    The best mean is bold; the number of seeds stands in brackets where it is not that of `SEEDS`.
    """
    cells = {}
    for file in sorted(output.glob(f"*/*/{REPORT}")):
        report = json.loads(file.read_text())
        found = cells.setdefault((file.parent.parent.name, file.parent.name), {})
        for run in report.get("runs", {}).values():
            if report["metric"] in run["scores"]:
                score = 100 * run["scores"][report["metric"]]
                found.setdefault(run["learning_rate"], []).append(score)
    rates = sorted({rate for found in cells.values() for rate in found})
    lines = ["| encoder | data |" + "".join(f" {rate:.1e} |" for rate in rates)]
    lines.append("| --- | --- |" + " --- |" * len(rates))
    for (encoder, data), found in cells.items():
        best = max(map(statistics.mean, found.values()), default=None)
        values = (_cell(found.get(rate, []), best) for rate in rates)
        lines.append(f"| {encoder} | {data} |" + "".join(f" {value} |" for value in values))
    return "\n".join(lines)


def _cell(scores: list[float], best: float | None) -> str:
    if not scores:
        return ""
    text = f"{statistics.mean(scores):.1f}"
    if statistics.mean(scores) == best:
        text = f"**{text}**"
    if len(scores) > 1:
        text += f" ± {statistics.stdev(scores):.1f}"
    return text if len(scores) == len(SEEDS) else f"{text} ({len(scores)})"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=pathlib.Path, required=True, metavar="RUNS")
    parser.add_argument("--english", nargs="*", default=[], type=pathlib.Path, metavar="CHECKPOINT")
    parser.add_argument("--chinese", nargs="*", default=[], type=pathlib.Path, metavar="CHECKPOINT")
    parser.add_argument("--rates", nargs="+", type=float, default=RATES, metavar="RATE")
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS, metavar="SEED")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="some of the data")
    parser.add_argument("--table", action="store_true", help="print what is there")
    args = parser.parse_args()
    made = args.output / "data"
    made.mkdir(parents=True, exist_ok=True)
    cells = [
        (checkpoint, name, data)
        for checkpoints, data_of in ((args.english, english), (args.chinese, chinese))
        for checkpoint, (name, data) in itertools.product(checkpoints, data_of(made).items())
        if not args.only or name in args.only
    ]
    for number, (checkpoint, name, data) in itertools.product(range(len(args.seeds)), cells):
        if args.table:
            break
        finetune_several(
            data.task,
            checkpoint,
            data.train,
            args.output / checkpoint.name / name,
            FinetuningSettings(precision="bfloat16"),
            grid({"learning_rate": args.rates, "seed": args.seeds[: number + 1]}),
            validation_path=data.held_out,
            limit=ROWS,
            verbose=0,
        )
    print(table(args.output))


if __name__ == "__main__":
    main()
