"""What pre-training is worth: fine-tune a checkpoint and the same model from random weights.

    python benchmarks/few_labels.py CHECKPOINT --output few_labels.json

Tasks: 500 rows of AG News, MRPC, 1,000 and 20,000 rows of SST-2, from the folder KBERT_DATA
(default ../shared/data). Same settings and seeds for both starts but the learning rate: each start
has that of `RATES` which is better with a seed that is not reported, on AG News for topics and
pairs, on 1,000 rows of SST-2 for sentiment. No early stopping: the last epoch is scored. Each run's
result is written as soon as it is known, and a restart skips what is there.
"""

import argparse
import csv
import itertools
import json
import os
import pathlib
import random
import statistics
import tempfile
from typing import NamedTuple

from kbert.checkpoints.directory import load
from kbert.files import write_json
from kbert.finetuning.evaluate import evaluate
from kbert.finetuning.run import finetune
from kbert.finetuning.settings import FinetuningSettings
from kbert.tasks.classification import ClassificationTask

RATES = (3e-4, 1e-3)
TUNING_SEED = 9
DATA = pathlib.Path(os.environ.get("KBERT_DATA", "../shared/data"))


class Trial(NamedTuple):
    """One task: where its rows are, how many are used, and how it is trained."""

    train: pathlib.Path
    test: pathlib.Path
    limit: int | None
    epochs: int
    columns: dict


def trials(scratch: pathlib.Path) -> dict[str, Trial]:
    pool, test = split_ag_news(scratch)
    mrpc = {"text_column": "#1 String", "second_column": "#2 String", "label_column": "Quality"}
    sst = {"text_column": "sentence", "sequence_length": 64}
    glue = DATA / "glue"
    sst_files = (glue / "SST-2/train.tsv", glue / "SST-2/dev.tsv")
    return {
        "AG News, 500 rows": Trial(pool, test, 500, 10, {"sequence_length": 96}),
        "SST-2, 1,000 rows": Trial(*sst_files, 1000, 10, sst),
        "MRPC, 3,667 rows": Trial(
            glue / "MRPC/train.tsv", glue / "MRPC/msr_paraphrase_test.txt", None, 3, mrpc
        ),
        "SST-2, 20,000 rows": Trial(*sst_files, 20_000, 1, sst),
    }


def split_ag_news(scratch: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """The labelled rows at hand, shuffled once: 4,000 to test on, the rest to draw from."""
    with open(DATA / "ag_news/alps_dev_from_train.tsv", encoding="utf-8", newline="\n") as file:
        rows = [line.rstrip("\n").split("\t") for line in file]
    rows = [row for row in rows if len(row) == 2 and all(row)]
    random.Random(0).shuffle(rows)
    paths = scratch / "pool.tsv", scratch / "test.tsv"
    for path, part in zip(paths, (rows[4000:], rows[:4000]), strict=True):
        with open(path, "w", encoding="utf-8", newline="\n") as file:
            writer = csv.writer(file, delimiter="\t", quoting=csv.QUOTE_NONE, quotechar=None)
            writer.writerows([("text", "label"), *part])
    return paths


def run(checkpoint: str, trial: Trial, start: str, seed: int, rate: float) -> dict:
    """Fine-tune once and score the test rows."""
    with tempfile.TemporaryDirectory() as folder:
        summary = finetune(
            ClassificationTask(**trial.columns),
            checkpoint,
            trial.train,
            folder,
            FinetuningSettings(epochs=trial.epochs, learning_rate=rate, seed=seed),
            limit=trial.limit,
            from_random=start == "random",
            verbose=0,
        )
        trained = load(folder)
        scores = evaluate(trained.task, trained, trial.test)
    kept = {name: scores[name] for name in ("rows", "accuracy", "f1")}
    counts = {"train_rows": summary["train_rows"], "seconds": summary["seconds"]}
    return {"learning_rate": rate, **counts, **kept}


class Results:
    """What has been run, kept in a file."""

    def __init__(self, checkpoint: str, output: pathlib.Path):
        self.checkpoint, self.output = checkpoint, output
        self.found = json.loads(output.read_text()) if output.exists() else {}

    def result(self, task: str, trial: Trial, start: str, seed: int, rate: float) -> dict:
        key = f"{task} | {start} | seed {seed}"
        if seed == TUNING_SEED:
            key += f" | rate {rate}"
        if key not in self.found:
            self.found[key] = run(self.checkpoint, trial, start, seed, rate)
            print(key, self.found[key], flush=True)
            write_json(self.output, self.found)
        return self.found[key]

    def rate(self, task: str, trial: Trial, start: str) -> float:
        """The best rate for this start on this task."""

        def accuracy(rate):
            return self.result(task, trial, start, TUNING_SEED, rate)["accuracy"]

        return max(RATES, key=accuracy)


def summarise(results: dict) -> dict:
    """Mean and deviation of each start, and the gain in standard errors of the difference."""
    table = {}
    for task in dict.fromkeys(key.split(" | ")[0] for key in results):
        starts = {}
        for start in ("pre-trained", "random"):
            found = [
                value["accuracy"]
                for key, value in results.items()
                if key.startswith(f"{task} | {start}") and " | rate " not in key
            ]
            if len(found) > 1:
                starts[start] = (statistics.mean(found), statistics.stdev(found), len(found))
        if len(starts) == 2:
            (a, s, n), (b, r, m) = starts["pre-trained"], starts["random"]
            error = (s**2 / n + r**2 / m) ** 0.5
            table[task] = {**starts, "gain": a - b, "standard_error": error}
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint")
    parser.add_argument("--output", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--tasks", nargs="+", help="only those whose names begin so")
    parser.add_argument("--starts", nargs="+", default=["pre-trained", "random"])
    args = parser.parse_args()
    results = Results(args.checkpoint, pathlib.Path(args.output))
    with tempfile.TemporaryDirectory() as scratch:
        every = trials(pathlib.Path(scratch))
        for task, start in itertools.product(every, args.starts):
            if args.tasks and not task.startswith(tuple(args.tasks)):
                continue
            tuned_on = "SST-2, 1,000 rows" if task.startswith("SST-2") else "AG News, 500 rows"
            rate = results.rate(tuned_on, every[tuned_on], start)
            for seed in args.seeds:
                results.result(task, every[task], start, seed, rate)
    print(json.dumps(summarise(results.found), indent=2))


if __name__ == "__main__":
    main()
