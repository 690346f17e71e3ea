"""A pre-training step side by side: kbert, on JAX too, keras-hub, Hugging Face, tf-models-official.

    python benchmarks/training.py --environments ~/bert-peers --install

Each framework's step runs in a process of its own, with its own optimizer (AdamW), dropout 0.1 and
the same positions masked; the processes take turns. keras-hub has no next-sentence head and does
less. Writes benchmarks/results/training.json and docs/images/training.png.
"""

import argparse
import importlib.util
import json
import pathlib
import statistics
import sys

from side_by_side import HERE, Worker, find_python, summary, take_turns
from timing import machine

sys.path.insert(0, str(HERE / "training_workers"))
from worker import Cell  # noqa: E402

KBERT, JAX = "kbert", "kbert on JAX"
FOLDER = "training_workers"
# name -> environment (None: this one), packages, script, further arguments
PEERS = {
    "keras-hub": ("keras-hub", ["keras-hub", "tensorflow"], "keras_hub_worker.py", []),
    "Hugging Face": ("torch", ["torch", "transformers"], "huggingface_worker.py", []),
    "Hugging Face, gather": (
        "torch",
        ["torch", "transformers"],
        "huggingface_worker.py",
        ["gather"],
    ),
    "tf-models-official": ("tf-models", ["tf-models-official"], "tf_models_worker.py", []),
    JAX: (None, [], "jax_worker.py", []),
}
PREDICTIONS = {128: 20, 512: 76}
TOKENS = 1024  # of a step
RESULTS = HERE / "results" / "training.json"
PLOT = HERE.parent / "docs" / "images" / "training.png"


def measure(cell: Cell, peers: dict[str, str], args) -> dict:
    """One cell, kbert with `args.together` peers at a time; -> name -> its figures."""
    names, figures, kbert_runs = list(peers), {}, []
    for first in range(0, len(names), args.together):
        group = names[first : first + args.together]
        with_matmul = ["matrix products"] if first == 0 else []
        workers = [start(name, cell, peers) for name in [KBERT, *with_matmul, *group]]
        for worker in workers:
            worker.ready()
        if args.wait:
            input(f"ready: {cell}. Press Enter to measure. ")
        seconds = take_turns(workers, args.rounds, args.steps)
        kbert_runs.append(seconds.pop(KBERT))
        for worker in workers:
            about = worker.about | worker.close()
            if worker.name == "matrix products":
                rate = about["flop"] / statistics.median(seconds.pop(worker.name))
                figures[worker.name] = {"gflop_per_second": round(rate / 1e9)}
            elif worker.name == KBERT:
                figures[KBERT] = about
            else:
                figures[worker.name] = summary(seconds[worker.name], cell.tokens) | about
                kbert_median = statistics.median(kbert_runs[-1])
                ratio = statistics.median(seconds[worker.name]) / kbert_median
                figures[worker.name]["kbert_is_faster_by"] = round(ratio, 2)
    figures[KBERT] |= summary(sum(kbert_runs, []), cell.tokens)
    rate = cell.flop() / figures[KBERT]["milliseconds"] / 1e6
    figures[KBERT]["gflop_per_second"] = round(rate)
    share = rate / figures["matrix products"]["gflop_per_second"]
    figures[KBERT]["share_of_matrix_rate"] = round(share, 3)
    return figures


def start(name: str, cell: Cell, peers: dict[str, str]) -> Worker:
    own = {KBERT: "kbert_worker.py", "matrix products": "matmul_worker.py"}
    if name in own:
        return Worker(name, sys.executable, f"{FOLDER}/{own[name]}", cell.arguments())
    _, _, script, more = PEERS[name]
    return Worker(name, peers[name], f"{FOLDER}/{script}", [*cell.arguments(), *more])


def draw(results: dict) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    cells = results["cells"]
    figure, axis = plt.subplots(figsize=(11, 4.5), constrained_layout=True)
    measured = set().union(*(cell["figures"] for cell in cells))
    names = [name for name in (KBERT, *PEERS) if name in measured]
    for index, name in enumerate(names):
        relative = [
            1.0 if name == KBERT else 1 / cell["figures"][name]["kbert_is_faster_by"]
            for cell in cells
            if name in cell["figures"]
        ]
        places = [
            number + (index - len(names) / 2 + 0.5) * 0.17
            for number, cell in enumerate(cells)
            if name in cell["figures"]
        ]
        axis.bar(places, relative, width=0.16, label=name)
    labels = ["{model}\n{rows} x {length}\n{precision}".format(**cell["cell"]) for cell in cells]
    axis.set_xticks(range(len(cells)), labels)
    axis.set_ylabel("tokens a second, kbert = 1")
    axis.set_title(f"A pre-training step, {results['machine']['processor']}")
    axis.legend(ncols=len(names), loc="upper center", bbox_to_anchor=(0.5, -0.2))
    axis.grid(axis="y", alpha=0.3)
    PLOT.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PLOT, dpi=110)


def find_peers(args) -> dict[str, str]:
    found = {}
    for name, (environment, packages, _, _) in PEERS.items():
        if args.only and name not in args.only:
            continue
        if environment is not None:
            python = find_python(args.environments, environment, packages, args.install)
        else:
            python = sys.executable if importlib.util.find_spec("jax") else None
        if python is not None:
            found[name] = python
    return found


def read_results() -> dict:
    if RESULTS.exists():
        return json.loads(RESULTS.read_text(encoding="utf-8"))
    return {"machine": machine(), "cells": []}


def keep(results: dict, cell: Cell, figures: dict) -> None:
    """Put a cell's new figures in the place of the old ones; peers left out keep theirs."""
    known = [each for each in results["cells"] if each["cell"] != vars(cell)]
    for each in results["cells"]:
        if each["cell"] == vars(cell):
            figures = each["figures"] | figures
    results["machine"] = machine()
    results["cells"] = sorted(
        [*known, {"cell": vars(cell), "figures": figures}],
        key=lambda each: (-len(each["cell"]["model"]), *map(str, each["cell"].values())),
    )
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--environments",
        type=pathlib.Path,
        default=pathlib.Path.home() / "bert-peers",
        help="folder of virtual environments: keras-hub, torch, tf-models",
    )
    parser.add_argument("--install", action="store_true", help="make the environments that lack")
    parser.add_argument("--models", nargs="+", default=["mini", "base"])
    parser.add_argument("--lengths", nargs="+", type=int, default=[128, 512])
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--only", nargs="+", metavar="PEER", help=f"some of {list(PEERS)}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3, help="of each framework in a round")
    parser.add_argument(
        "--together", type=int, default=4, help="peers in memory at a time; base needs 4 GB each"
    )
    parser.add_argument("--wait", action="store_true", help="for Enter before each measurement")
    args = parser.parse_args()
    peers, results = find_peers(args), read_results()
    for model in args.models:
        for length in args.lengths:
            for precision in args.precisions:
                cell = Cell(model, TOKENS // length, length, PREDICTIONS[length], precision)
                figures = measure(cell, peers, args)
                keep(results, cell, figures)
                print(cell)
                for name, values in figures.items():
                    print(f"  {name}: {values}")
    draw(results)


if __name__ == "__main__":
    main()
