"""A pre-training step on one GPU: kbert on JAX beside Hugging Face with SDPA and torch.compile.

    KERAS_BACKEND=jax python benchmarks/gpu.py --environments ~/bert-peers

Full rows, bfloat16, AdamW, dropout 0.1. Utilisation is the step's floating-point operations
(`Cell.flop`: 6 x weights of the blocks' kernels + 12 x layers x length x width for a token, and
6 x (width x width + width x vocabulary) for a masked position; what is computed twice counts once)
over its seconds, over the rate of a plain matrix product measured in the same run. Writes
benchmarks/results/gpu.json.

On a machine without a GPU `--models tiny --rows 2` shows that it runs.
"""

import argparse
import json
import pathlib
import statistics
import sys

from side_by_side import HERE, Worker, find_python, summary, take_turns

sys.path.insert(0, str(HERE / "training_workers"))
from worker import Cell  # noqa: E402

FOLDER = "training_workers"
PEER = "Hugging Face, gather, compiled"
PREDICTIONS = {128: 20, 512: 76}
ROWS = {("base", 128): 256, ("base", 512): 64, ("large", 128): 128, ("large", 512): 32}
RESULTS = HERE / "results" / "gpu.json"


def measure(cell: Cell, peer: str | None, args) -> dict:
    """One after another in memory: each may take the whole GPU."""
    more = ["rematerialize"] if args.rematerialize else []
    runs = [
        ("matrix products", sys.executable, "gpu_matmul_worker.py", []),
        ("kbert", sys.executable, "jax_worker.py", more),
        (PEER, peer, "huggingface_worker.py", ["gather", "compile"]),
    ]
    figures, rate = {}, None
    for name, python, script, arguments in runs:
        if python is None:
            continue
        worker = Worker(name, python, f"{FOLDER}/{script}", [*cell.arguments(), *arguments])
        worker.ready()
        seconds = take_turns([worker], 1, args.steps)[name]
        about = worker.about | worker.close()
        if rate is None:
            rate = about["flop"] / statistics.median(seconds)
            figures[name] = {"tflop_per_second": round(rate / 1e12, 2)}
            continue
        median = statistics.median(seconds)
        figures[name] = summary(seconds, cell.tokens) | about
        figures[name]["sequences_per_second"] = round(cell.rows / median, 1)
        figures[name]["utilisation"] = round(cell.flop() / median / rate, 3)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--environments", type=pathlib.Path, default=pathlib.Path.home() / "bert-peers"
    )
    parser.add_argument("--install", action="store_true", help="make the environment if it lacks")
    parser.add_argument("--models", nargs="+", default=["base", "large"])
    parser.add_argument("--lengths", nargs="+", type=int, default=[128, 512])
    parser.add_argument("--rows", type=int, help="instead of those that fit 80 GB")
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rematerialize", action="store_true")
    args = parser.parse_args()
    peer = find_python(args.environments, "torch", ["torch", "transformers"], args.install)
    cells = []
    for model in args.models:
        for length in args.lengths:
            rows = args.rows or ROWS[model, length]
            cell = Cell(model, rows, length, PREDICTIONS[length], args.precision)
            cells.append({"cell": vars(cell), "figures": measure(cell, peer, args)})
            print(json.dumps(cells[-1], indent=1))
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(cells, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
