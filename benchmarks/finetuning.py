"""Fine-tuning side by side: kbert, Hugging Face on PyTorch, keras-hub; steps, and whole jobs.

    python benchmarks/finetuning.py --data DATA --peer-python TORCH/bin/python
    python benchmarks/finetuning.py --data DATA --peer-python TORCH/bin/python --jobs

Steps: forward, backward, clipping and AdamW on batches of 32 rows, encoded once, from random
weights. Each framework's steps run in a process of its own, with as many threads as there are
cores; the processes take turns. kbert trains as `kbert finetune` does; Hugging Face's model once on
rows grouped by length and once as its example scripts pad them; keras-hub pads every row to the
longest, and has a classifier only.

Jobs: `kbert finetune` and a script around Hugging Face's Trainer, on 2,000 rows for three epochs
with scores and a saved checkpoint after each, from the start of the process to its end.

DATA holds glue/SST-2, glue/MRPC, ner_misc/wikigold, squad_subsets and vocab. Writes
benchmarks/results/finetuning.json.
"""

import argparse
import dataclasses
import functools
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from side_by_side import HERE, Worker, take_turns
from timing import interleave, summary, versions, write_results

sys.path.insert(0, str(HERE / "finetuning_workers"))
from rows import SIZES, VOCABULARY  # noqa: E402

FOLDER = "finetuning_workers"
KBERT, GROUPED = "kbert", "Hugging Face, grouped"
SQUAD = "squad_subsets/derived_squad1_train_unique_spans.json"
ROWS = 2000


@dataclasses.dataclass(frozen=True)
class Data:
    """What a cell trains on.

    Args:
        task: kbert's name of it.
        length: the longest row.
        padded: what Hugging Face's example script pads to; 0 for a batch's longest row.
        options: of kbert's task.
    """

    task: str
    length: int
    padded: int = 0
    options: dict = dataclasses.field(default_factory=dict)


DATA = {
    "SST-2": Data("classification", 64),
    "MRPC": Data("classification", 128, options={"second_column": "second"}),
    "wikigold": Data("tagging", 128),
    "SQuAD": Data("qa", 384, padded=384),
}
CELLS = {
    "minilm": ("SST-2", "MRPC", "wikigold", "SQuAD"),
    "base": ("MRPC",),
}


def write_train_file(folder: pathlib.Path, data: pathlib.Path, name: str) -> pathlib.Path:
    """The first rows of a set, as a file that kbert reads."""
    if name == "wikigold":
        text = (data / "ner_misc/wikigold/wikigold.conll.txt").read_text(encoding="utf-8")
        target = folder / "train.conll"
        target.write_text("\n\n".join(text.split("\n\n")[:ROWS]) + "\n", encoding="utf-8")
        return target
    if name == "SQuAD":
        squad = json.loads((data / SQUAD).read_text(encoding="utf-8"))
        target = folder / "train.json"
        target.write_text(json.dumps({**squad, "data": squad["data"][:8]}), encoding="utf-8")
        return target
    target = folder / "train.jsonl"
    with open(target, "w", encoding="utf-8") as file:
        for row in (_sst2 if name == "SST-2" else _mrpc)(data / "glue")[:ROWS]:
            file.write(json.dumps(row) + "\n")
    return target


def _sst2(glue):
    lines = (glue / "SST-2/train.tsv").read_text(encoding="utf-8").splitlines()[1:]
    return [dict(zip(("text", "label"), line.split("\t"), strict=True)) for line in lines]


def _mrpc(glue):
    path = glue / "MRPC/msr_paraphrase_train.txt"
    cells = [line.split("\t") for line in path.read_text("utf-8-sig").splitlines()[1:]]
    return [{"text": row[3], "second": row[4], "label": row[0]} for row in cells]


def write_rows(folder: pathlib.Path, data: pathlib.Path, size: str, name: str) -> None:
    """A checkpoint with random weights, the training file, and its rows as the peers take them."""
    from kbert.tensorflow_start import start_backend

    start_backend()
    import keras

    from kbert import BertConfig, Checkpoint, WordPieceTokenizer, build_encoder, save
    from kbert.checkpoints.huggingface.directory import to_huggingface
    from kbert.tasks import TASKS

    layers, width, heads = SIZES[size]
    keras.utils.set_random_seed(0)
    config = BertConfig(
        VOCABULARY,
        num_layers=layers,
        num_heads=heads,
        hidden_dim=width,
        intermediate_dim=4 * width,
        activation="gelu_erf",
    )
    vocabulary = (data / "vocab/bert-base-uncased.vocab.txt").read_text("utf-8").split()
    start = Checkpoint(build_encoder(config), WordPieceTokenizer(vocabulary), config)
    save(folder / "checkpoint", start)
    to_huggingface(folder / "huggingface", start)
    about = DATA[name]
    (folder / "task.json").write_text(json.dumps(about.options))
    task = TASKS[about.task](sequence_length=about.length, **about.options)
    examples = task.read_examples(write_train_file(folder, data, name))
    task = task.prepare(examples, name)
    features = task.encode(examples, start.tokenizer)
    arrays = {
        part: np.concatenate([feature.inputs[part] for feature in features])
        for part in ("token_ids", "segment_ids")
    }
    for target in features[0].targets:
        found = [feature.targets[target] for feature in features]
        if target in task.token_targets:
            learned = [feature.weights[target] > 0 for feature in features]
            found = [np.where(*pair, -100) for pair in zip(learned, found, strict=True)]
        arrays[target] = np.concatenate([np.atleast_1d(array) for array in found])
    lengths = [feature.length for feature in features]
    np.savez(folder / "rows.npz", lengths=lengths, **arrays)
    print(f"{name}: {len(lengths)} rows, mean {np.mean(lengths):.1f}, longest {max(lengths)}")


def measure_steps(folder, size, name, precision, peer_python, args) -> dict:
    about = DATA[name]
    own = [folder, about.task, about.length, precision]
    environment = os.environ | {"PYTHONPATH": str(HERE.parent)}
    workers = {KBERT: (sys.executable, "kbert_worker.py", own, environment)}
    peer = [folder, size, precision]
    if peer_python:
        workers |= {
            GROUPED: (peer_python, "huggingface_worker.py", [*peer, 0, "grouped"]),
            "Hugging Face": (peer_python, "huggingface_worker.py", [*peer, about.padded]),
        }
    if about.task == "classification":
        workers["keras-hub"] = (sys.executable, "keras_hub_worker.py", [*peer, about.length])
    workers = [
        Worker(name, python, f"{FOLDER}/{script}", *given)
        for name, (python, script, *given) in workers.items()
        if not args.only or name in args.only
    ]
    for worker in workers:
        worker.ready()
    turns = take_turns(workers, args.rounds, args.steps)
    found = {}
    for worker in workers:
        rows, seconds = np.array(turns[worker.name]).T
        rates = [sum(part) for part in np.split(rows, args.rounds)], np.split(seconds, args.rounds)
        by_turn = [rows / sum(seconds) for rows, seconds in zip(*rates, strict=True)]
        found[worker.name] = {
            "rows_per_second": round(sum(rows) / sum(seconds), 2),
            "fastest_turn": round(max(by_turn), 2),
            "steps": len(rows),
            **worker.about,
        }
        worker.close()
    for values in found.values() if KBERT in found else ():
        ratio = found[KBERT]["rows_per_second"] / values["rows_per_second"]
        values["kbert_is_faster_by"] = round(ratio, 2)
    return found


def measure_jobs(folder, name, precision, peer_python, rounds) -> dict:
    """Seconds of whole processes, kbert's and Hugging Face's, in turns."""
    about = DATA[name]
    options = [f"--{key.replace('_', '-')}={value}" for key, value in about.options.items()]
    kbert = [sys.executable, "-m", "apps.cli", "finetune", about.task]
    kbert += ["--from", folder / "checkpoint", "--train", folder / "train.jsonl", *options]
    kbert += [f"--sequence-length={about.length}", f"--precision={precision}", "--overwrite"]
    kbert += ["--learning-rate=5e-5", "--output", folder / "kbert-output"]
    job = [peer_python, HERE / FOLDER / "huggingface_job.py", folder, folder / "peer-output"]
    job += [precision, about.length]
    commands = {KBERT: kbert, GROUPED: [*job, "grouped"], "Hugging Face": job}

    def run(command):
        subprocess.run(
            list(map(str, command)), check=True, stdout=subprocess.DEVNULL, cwd=HERE.parent
        )

    calls = {name: functools.partial(run, command) for name, command in commands.items()}
    return summary(interleave(calls, rounds, warmup=0), KBERT, ROWS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, default=os.environ.get("KBERT_DATA", "data"))
    parser.add_argument("--peer-python", help="of an environment with torch and transformers")
    parser.add_argument("--models", nargs="+", choices=CELLS, default=list(CELLS))
    parser.add_argument("--sets", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--only", nargs="+", help="some of the contenders")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20, help="of each framework in a round")
    parser.add_argument("--jobs", action="store_true", help="whole jobs instead of steps")
    args = parser.parse_args()
    about = versions("kbert", "tensorflow", "keras", "keras-hub")
    about |= versions("torch", "transformers", python=args.peer_python)
    for size in args.models:
        for name in CELLS[size]:
            if name not in args.sets:
                continue
            with tempfile.TemporaryDirectory() as path:
                folder = pathlib.Path(path)
                write_rows(folder, args.data, size, name)
                for precision in args.precisions:
                    if args.jobs:
                        found = measure_jobs(folder, name, precision, args.peer_python, args.rounds)
                    else:
                        found = measure_steps(folder, size, name, precision, args.peer_python, args)
                    title = f"{size}, {name}, {precision}" + (", job" if args.jobs else "")
                    print(title, json.dumps(found, indent=1), flush=True)
                    write_results("finetuning", {"versions": about}, {title: found})


if __name__ == "__main__":
    main()
