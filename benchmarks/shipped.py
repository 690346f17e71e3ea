"""What a shipped encoder is worth: beside random weights, and beside a bag of words.

    python benchmarks/shipped.py --output RUNS --english CHECKPOINT --chinese CHECKPOINT
    python benchmarks/shipped.py --output RUNS --table

Fine-tunes the same architecture from the checkpoint and from random weights with the same settings,
five seeds each; a tenth of the training rows chooses the epoch, the scores are of other rows. The
intervals are Student's, of 95 %, over the seeds. The bag of words sees the same training rows:
TF-IDF and logistic regression; of pairs, the cosine of both texts, the words that they share and
those that they do not; of a word's tag, the word and its two neighbours. Restarts as
benchmarks/downstream.py.
"""

import argparse
import json
import pathlib
import shlex
from collections.abc import Sequence

import numpy as np
import scipy.sparse
import scipy.stats
from downstream import DATA, Run, file_name, run_one, split_wikigold
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from kbert.files import write_json
from kbert.settings import add_options, from_options
from kbert.tasks import TASKS
from kbert.tasks.base import Task
from kbert.tasks.readers.glue import GlueFile

SEEDS = range(5)
STARTS = {"pre-trained": "", "random weights": " --from-random"}
BAG = "bag of words"
SHOWN = {
    "SST-2": "accuracy",
    "STS-B": "spearman",
    "MRPC": "accuracy",
    "wikigold": "f1",
    "ChnSentiCorp": "accuracy",
    "AFQMC": "matthews",
    "MSRA NER": "f1",
}


def runs(made: pathlib.Path) -> dict[str, Run]:
    glue, zh = DATA / "glue", DATA / "zh"
    pairs = "--no-header --text-column 0 --second-column 1 --label-column 2"
    return {
        "SST-2": Run(
            "classification --glue SST-2 --limit 20000 --epochs 2 --learning-rate 3e-4",
            glue / "SST-2/train.tsv",
            glue / "SST-2/dev.tsv",
        ),
        "STS-B": Run(
            "regression --glue STS-B --epochs 5 --learning-rate 3e-4",
            glue / "STS-B/train.tsv",
            glue / "STS-B/dev.tsv",
        ),
        "MRPC": Run(
            "classification --glue MRPC --epochs 5 --learning-rate 3e-4",
            glue / "MRPC/train.tsv",
            glue / "MRPC/dev.tsv",
        ),
        "wikigold": Run(
            "tagging --epochs 10 --batch-size 16 --learning-rate 5e-4", *split_wikigold(made)
        ),
        "ChnSentiCorp": Run(
            "classification --text-column text_a --limit 4000 --epochs 3 --learning-rate 1e-4",
            zh / "uer_chnsenticorp/train.tsv",
            zh / "uer_chnsenticorp/test.tsv",
            "chinese",
        ),
        "AFQMC": Run(
            f"classification {pairs} --epochs 4 --learning-rate 1e-4 --metric matthews",
            zh / "csts/AFQMC/train.txt",
            zh / "csts/AFQMC/dev.txt",
            "chinese",
        ),
        "MSRA NER": Run(
            "tagging --epochs 10 --batch-size 16 --learning-rate 5e-4",
            zh / "uer_msra_ner/dev.tsv",
            zh / "uer_msra_ner/test.tsv",
            "chinese",
        ),
    }


def task_of(run: Run) -> tuple[Task, argparse.Namespace]:
    """The task that `kbert finetune` makes of the options, and those that are not the task's."""
    name, *options = shlex.split(run.options)
    parser = argparse.ArgumentParser()
    parser.add_argument("--limit", type=int)
    add_options(parser, GlueFile)
    add_options(parser, TASKS[name])
    args, _ = parser.parse_known_args(options)
    columns = from_options(GlueFile, args).columns("labelled")
    return from_options(TASKS[name], args, columns), args


def bag_of_words(run: Run) -> dict:
    """The scores of the bag of words, as the task names them."""
    task, args = task_of(run)
    train, test = task.read_examples(run.train), task.read_examples(run.test)
    if args.limit is not None:
        order = np.random.default_rng(0).permutation(len(train))
        train = [train[number] for number in order[: args.limit]]
    task = task.prepare(train, str(run.train))
    if task.name == "tagging":
        answers = tag_by_words(train, test)
    elif task.name == "regression":
        answers = [{"value": value} for value in cosines(train, test)]
    else:
        answers = classify(train, test, run.language)
    return task.metrics(answers, test)


def vectorizer_of(texts: Sequence[str], language: str) -> TfidfVectorizer:
    if language == "chinese":
        vectorizer = TfidfVectorizer(analyzer="char", ngram_range=(1, 2), min_df=2)
    else:
        vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, token_pattern=r"\S+")
    return vectorizer.fit(texts)


def classify(train, test, language: str) -> list[dict]:
    texts = [text for e in train for text in (e.text, e.second) if text is not None]
    vectorizer = vectorizer_of(texts, language)

    def vectors(examples):
        first = vectorizer.transform([example.text for example in examples])
        if examples[0].second is None:
            return first
        second = vectorizer.transform([example.second for example in examples])
        shared = first.multiply(second)
        return scipy.sparse.hstack([shared, abs(first - second), shared.sum(axis=1)]).tocsr()

    model = LogisticRegression(C=10, max_iter=1000)
    model.fit(vectors(train), [example.label for example in train])
    return [
        {
            "label": str(model.classes_[row.argmax()]),
            "score": float(row.max()),
            "probabilities": dict(zip(map(str, model.classes_), map(float, row), strict=True)),
        }
        for row in model.predict_proba(vectors(test))
    ]


def cosines(train, test) -> list[float]:
    vectorizer = TfidfVectorizer(token_pattern=r"\w+")
    vectorizer.fit([text for example in train for text in (example.text, example.second)])
    first, second = (
        vectorizer.transform([getattr(example, name) for example in test])
        for name in ("text", "second")
    )
    return [float(value) for value in np.asarray(first.multiply(second).sum(axis=1)).ravel()]


def tag_by_words(train, test) -> list[dict]:
    def rows(example):
        words = ["", *example.sentence.words, ""]
        for before, word, after in zip(words, words[1:], words[2:], strict=False):
            yield {"word": word, "before": before, "after": after, "capital": word.istitle()}

    vectorizer = DictVectorizer()
    seen = vectorizer.fit_transform([row for example in train for row in rows(example)])
    model = LogisticRegression(C=10, max_iter=1000)
    model.fit(seen, [tag for example in train for tag in example.sentence.tags])
    return [
        {"tags": list(map(str, model.predict(vectorizer.transform(list(rows(example))))))}
        for example in test
    ]


def table(output: pathlib.Path) -> str:
    lines = ["| data | rows | score | " + " | ".join([*STARTS, BAG]) + " |"]
    lines.append("| --- " * (3 + len(STARTS) + 1) + "|")
    for name, metric in SHOWN.items():
        cells, rows = [], ""
        for start in (*STARTS, BAG):
            pattern = f"{file_name(name)}-{file_name(start)}-*.json"
            files = sorted(output.glob(pattern))
            results = [json.loads(file.read_text(encoding="utf-8")) for file in files]
            values = [100 * result["scores"][metric] for result in results]
            cells.append(with_interval(values) if values else "")
            rows = f"{results[0]['rows']:,}" if results and "rows" in results[0] else rows
        if any(cells):
            lines.append(f"| {name} | {rows} | {metric} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def with_interval(values: Sequence[float]) -> str:
    mean = np.mean(values)
    if len(values) == 1:
        return f"{mean:.1f}"
    low, high = scipy.stats.t.interval(0.95, len(values) - 1, mean, scipy.stats.sem(values))
    return f"{mean:.1f} [{low:.1f}, {high:.1f}] ({len(values)})"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=pathlib.Path, required=True, metavar="RUNS")
    parser.add_argument("--english", metavar="CHECKPOINT")
    parser.add_argument("--chinese", metavar="CHECKPOINT")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=SHOWN)
    parser.add_argument("--table", action="store_true", help="print what is there")
    args = parser.parse_args()
    if args.table:
        print(table(args.output))
        return
    made = args.output / "data"
    made.mkdir(parents=True, exist_ok=True)
    given = {
        name: run
        for name, run in runs(made).items()
        if getattr(args, run.language) is not None and (not args.only or name in args.only)
    }
    for name, run in given.items():
        result = args.output / f"{file_name(name)}-{file_name(BAG)}-0.json"
        if not result.exists():
            write_json(result, {"command": BAG, "scores": bag_of_words(run)})
    for start, option in STARTS.items():
        for seed in SEEDS:
            for name, run in given.items():
                checkpoint = getattr(args, run.language)
                result = args.output / f"{file_name(name)}-{file_name(start)}-{seed}.json"
                if not result.exists():
                    run_one(run._replace(options=run.options + option), checkpoint, seed, result)


if __name__ == "__main__":
    main()
