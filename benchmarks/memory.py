"""How many rows of a pre-training step fit in memory, with and without rematerialisation.

    python benchmarks/memory.py --gigabytes 24

The most that a process has in memory during a step, for two sizes of batch; a line through both
tells what a model takes by itself (weights, gradients, Adam's means and squares, TensorFlow) and
what a row adds, and so the largest batch. With TensorFlow on a CPU, as `kbert pretrain` trains.
Writes benchmarks/results/memory.json, where a restart finds what has been measured.
"""

import argparse
import json
import sys

from side_by_side import HERE, Worker
from timing import machine

from kbert.files import write_json

sys.path.insert(0, str(HERE / "training_workers"))
from worker import Cell  # noqa: E402

PREDICTIONS = {128: 20, 512: 76}
# (length, rematerialised) -> two sizes of batch, so large that what rows take is more than the
# gradients, which take turns with it: of few rows, the update needs the most.
ROWS = {
    (128, False): (16, 32),
    (128, True): (64, 128),
    (512, False): (4, 8),
    (512, True): (16, 32),
}
RESULTS = HERE / "results" / "memory.json"


def step_memory_mb(cell: Cell, rematerialize: bool) -> int:
    """In a process of its own, alone: two large models at once are too much for 24 GB."""
    more = ["rematerialize"] if rematerialize else []
    script = "training_workers/kbert_worker.py"
    worker = Worker("kbert", sys.executable, script, [*cell.arguments(), *more])
    worker.ready()
    most = worker.step_memory_mb()
    worker.close()
    return most


def measure(model: str, length: int, precision: str, rematerialize: bool) -> dict:
    few, many = ROWS[length, rematerialize]
    low, high = (
        step_memory_mb(Cell(model, rows, length, PREDICTIONS[length], precision), rematerialize)
        for rows in (few, many)
    )
    row = (high - low) / (many - few)
    return {
        "peak_mb": {few: low, many: high},
        "model_mb": round(low - few * row),
        "row_mb": round(row, 1),
    }


def table(results: dict, gigabytes: float) -> str:
    lines = [
        f"| model | rows of | rematerialised | by itself | a row | rows in {gigabytes:g} GB |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, found in results["cells"].items():
        model, length, _, again = name.split(", ")
        most = int((gigabytes * 1024 - found["model_mb"]) / found["row_mb"])
        lines.append(
            f"| {model} | {length} | {again} | {found['model_mb'] / 1024:.1f} GB "
            f"| {found['row_mb']:.0f} MB | {max(most, 0)} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["base", "large"])
    parser.add_argument(
        "--lengths", nargs="+", type=int, default=list(PREDICTIONS), choices=list(PREDICTIONS)
    )
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--gigabytes", type=float, default=24)
    args = parser.parse_args()
    results = {"machine": machine(), "cells": {}}
    if RESULTS.exists():
        results = json.loads(RESULTS.read_text(encoding="utf-8"))
    for model in args.models:
        for length in args.lengths:
            for again in (False, True):
                name = f"{model}, {length}, {args.precision}, {'yes' if again else 'no'}"
                if name not in results["cells"]:
                    results["cells"][name] = measure(model, length, args.precision, again)
                    write_json(RESULTS, results)
    print(table(results, args.gigabytes))


if __name__ == "__main__":
    main()
