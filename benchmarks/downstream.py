"""Every task of the paper on real data: fine-tune, score on rows that training has not seen.

    python benchmarks/downstream.py --output RUNS --english CHECKPOINT --chinese CHECKPOINT
    python benchmarks/downstream.py --output RUNS --table

Runs the `kbert` command as a user would, three seeds a task (one for question answering), from the
folder KBERT_DATA (default ../shared/data). A tenth of the training rows chooses the epoch; the
scores are of other rows. Each run's result is a file in RUNS, and a restart goes on behind those
that are there. `--only NAME ...` runs some of them. The table's minutes are of one processor core.
"""

import argparse
import json
import os
import pathlib
import resource
import shlex
import shutil
import statistics
import subprocess
import sys
from typing import NamedTuple

from kbert.files import write_json

DATA = pathlib.Path(os.environ.get("KBERT_DATA", "../shared/data"))
SEEDS = (0, 1, 2)
SHOWN = {  # of the scores that `kbert evaluate` writes, those in the table
    "CoLA": ("matthews",),
    "SST-2": ("accuracy",),
    "MRPC": ("accuracy", "f1"),
    "STS-B": ("pearson", "spearman"),
    "wikigold": ("f1",),
    "wikigold, frozen": ("f1",),
    "SQuAD 1.1": ("exact", "f1"),
    "SQuAD 2.0": ("exact", "f1"),
    "CODAH": ("accuracy",),
    "ChnSentiCorp": ("accuracy",),
    "MSRA NER": ("f1",),
    "CMRC 2018": ("exact", "f1"),
}


class Run(NamedTuple):
    """One row of the table: the task's command without its files, and the files."""

    options: str
    train: pathlib.Path
    test: pathlib.Path
    language: str = "english"
    seeds: tuple[int, ...] = SEEDS
    first: "Run | None" = None  # What the encoder is fine-tuned on before.


def runs(made: pathlib.Path) -> dict[str, Run]:
    """The table's rows; files that are parts of published ones are written to `made`."""
    glue, zh = DATA / "glue", DATA / "zh"
    wikigold = split_wikigold(made)
    squad2_train, squad2_test = split_squad(made)
    squad = Run(
        "qa --epochs 2 --batch-size 16 --sequence-length 256 --skip-bad --learning-rate 1e-4",
        DATA / "squad_subsets/derived_squad1_train_unique_spans.json",
        DATA / "squad_subsets/derived_squad1_dev_6articles.json",
        seeds=(0,),
    )
    return {
        "SST-2": Run(
            "classification --glue SST-2 --limit 20000 --epochs 2 --learning-rate 5e-5",
            glue / "SST-2/train.tsv",
            glue / "SST-2/dev.tsv",
        ),
        "CoLA": Run(
            "classification --glue CoLA --epochs 5 --learning-rate 1e-4",
            glue / "CoLA/train.tsv",
            glue / "CoLA/dev.tsv",
        ),
        "MRPC": Run(
            "classification --glue MRPC --epochs 5 --learning-rate 1e-4",
            glue / "MRPC/train.tsv",
            glue / "MRPC/dev.tsv",
        ),
        "STS-B": Run(
            "regression --glue STS-B --epochs 3 --learning-rate 5e-5",
            glue / "STS-B/train.tsv",
            glue / "STS-B/dev.tsv",
        ),
        "wikigold": Run(
            "tagging --epochs 8 --batch-size 16 --learning-rate 2e-4",
            *wikigold,
        ),
        "wikigold, frozen": Run(
            "tagging --features concat-last-four --lstm-size 256 --epochs 15 --batch-size 16 "
            "--learning-rate 1e-3",
            *wikigold,
        ),
        "SQuAD 1.1": squad,
        # 1,373 questions are too few to find answers by: alone they taught to answer "none".
        "SQuAD 2.0": squad._replace(train=squad2_train, test=squad2_test, first=squad),
        "CODAH": Run(
            "choice --epochs 3 --batch-size 16 --sequence-length 64 --learning-rate 1e-4",
            DATA / "codah/fold_0/train.tsv",
            DATA / "codah/fold_0/test.tsv",
        ),
        "ChnSentiCorp": Run(
            "classification --text-column text_a --limit 6000 --epochs 2 --learning-rate 3e-4",
            zh / "uer_chnsenticorp/train.tsv",
            zh / "uer_chnsenticorp/test.tsv",
            "chinese",
        ),
        "MSRA NER": Run(
            "tagging --epochs 8 --batch-size 16 --learning-rate 5e-4",
            zh / "uer_msra_ner/dev.tsv",
            zh / "uer_msra_ner/test.tsv",
            "chinese",
        ),
        "CMRC 2018": Run(
            "qa --rules cmrc --epochs 4 --batch-size 16 --sequence-length 256 --skip-bad "
            "--learning-rate 3e-4",
            zh / "cmrc2018/squad-style-data_cmrc2018_trial.json",
            zh / "cmrc2018/squad-style-data_cmrc2018_dev.json",
            "chinese",
            (0,),
        ),
    }


def split_wikigold(made: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """The last fifth of its documents is the test."""
    text = (DATA / "ner_misc/wikigold/wikigold.conll.txt").read_text(encoding="utf-8")
    documents = text.strip().split("-DOCSTART- O\n")
    documents = [document.strip() for document in documents if document.strip()]
    first = len(documents) * 4 // 5
    files = made / "wikigold_train.conll", made / "wikigold_test.conll"
    for file, part in zip(files, (documents[:first], documents[first:]), strict=True):
        file.write_text("".join(f"-DOCSTART- O\n\n{document}\n\n" for document in part))
    return files


def split_squad(made: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """Only articles of the dev set are at hand: two of the six are the test."""
    file = DATA / "squad_subsets/derived_squad2_dev_6articles.json"
    articles = json.loads(file.read_text(encoding="utf-8"))["data"]
    test = ("Normans", "Southern_California")
    files = made / "squad2_train.json", made / "squad2_test.json"
    for file, wanted in zip(files, (False, True), strict=True):
        part = [article for article in articles if (article["title"] in test) == wanted]
        write_json(file, {"version": "v2.0", "data": part})
    return files


def run_one(run: Run, checkpoint: str, seed: int, result: pathlib.Path) -> None:
    """Fine-tune and evaluate; writes the scores, the commands and the seconds."""
    model, scores = result.with_suffix(""), result.with_suffix(".scores")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    commands = []
    if run.first is not None:
        first = result.with_suffix(".first")
        commands.append(finetune(run.first, checkpoint, seed, first))
        checkpoint = str(first)
    commands.append(finetune(run, checkpoint, seed, model))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    options = ["--skip-bad"] if "--skip-bad" in run.options else []
    kbert("evaluate", str(model), str(run.test), "--output", str(scores), *options)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    summary = json.loads((model / "finetune.json").read_text(encoding="utf-8"))
    write_json(
        result,
        {
            "command": "; ".join(commands),
            "processor_seconds": seconds,
            "rows": summary["train_rows"],
            "best_epoch": summary["best_epoch"],
            "scores": json.loads(scores.read_text(encoding="utf-8")),
        },
    )
    scores.unlink()
    for folder in (model, result.with_suffix(".first")):
        shutil.rmtree(folder, ignore_errors=True)


def finetune(run: Run, checkpoint: str, seed: int, output: pathlib.Path) -> str:
    """Returns the command."""
    task, *options = shlex.split(run.options)
    command = [task, "--from", checkpoint, "--train", str(run.train), *options]
    command += ["--precision", "bfloat16", "--seed", str(seed)]
    kbert("finetune", *command, "--output", str(output), "--overwrite")
    return shlex.join(["kbert", "finetune", *command])


def kbert(*command: str) -> None:
    subprocess.run([sys.executable, "-m", "apps.cli", *command], check=True)


def table(output: pathlib.Path) -> str:
    lines = ["| data | rows | scores | minutes |", "| --- | --- | --- | --- |"]
    for name, metrics in SHOWN.items():
        files = sorted(output.glob(f"{file_name(name)}-?.json"))
        results = [json.loads(file.read_text(encoding="utf-8")) for file in files]
        if results:
            minutes = statistics.mean(result["processor_seconds"] for result in results) / 60
            cells = [spread(metric, results) for metric in metrics]
            lines.append(
                f"| {name} | {results[0]['rows']:,} | {', '.join(cells)} | {minutes:.1f} |"
            )
    return "\n".join(lines)


def spread(metric: str, results: list[dict]) -> str:
    # SQuAD's scores are percentages, as its official script prints them.
    factor = 1 if results[0]["command"].startswith("kbert finetune qa ") else 100
    values = [factor * result["scores"][metric] for result in results]
    deviation = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{metric} {statistics.mean(values):.1f}{deviation} ({len(values)})"


def file_name(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=pathlib.Path, required=True, metavar="RUNS")
    parser.add_argument("--english", metavar="CHECKPOINT", help="of the English tasks")
    parser.add_argument("--chinese", metavar="CHECKPOINT", help="of the Chinese tasks")
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", choices=SHOWN, help="some of the tasks"
    )
    parser.add_argument("--table", action="store_true", help="print what is there")
    args = parser.parse_args()
    if args.table:
        print(table(args.output))
        return
    made = args.output / "data"
    made.mkdir(parents=True, exist_ok=True)
    rows = runs(made)
    for name in args.only or rows:
        run = rows[name]
        checkpoint = getattr(args, run.language)
        if checkpoint is None:
            continue
        for seed in run.seeds:
            result = args.output / f"{file_name(name)}-{seed}.json"
            if not result.exists():
                run_one(run, checkpoint, seed, result)


if __name__ == "__main__":
    main()
