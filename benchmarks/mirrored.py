"""Two logical CPU devices: kbert's step, compiled inside each replica, beside Keras's own `fit`.

    python benchmarks/mirrored.py

"keras" trains the same layers with the same objective, "keras-hub" that library's BertMaskedLM,
which has no next-sentence head; the rows are the same, in float32. Keras turns XLA off under
MirroredStrategy. Writes benchmarks/results/mirrored.json.
"""

import argparse
import json
import sys

from side_by_side import HERE, Worker, summary, take_turns
from timing import machine

sys.path.insert(0, str(HERE / "training_workers"))
from worker import Cell  # noqa: E402

PEERS = ("keras", "keras-hub")
RESULTS = HERE / "results" / "mirrored.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=5, help="of each in a round")
    args = parser.parse_args()
    cell = Cell(args.model, args.rows, 128, 20, "float32")
    script = "training_workers/mirrored_worker.py"
    workers = [
        Worker(name, sys.executable, script, [*cell.arguments(), name])
        for name in ("kbert", *PEERS)
    ]
    for worker in workers:
        worker.ready()
    seconds = take_turns(workers, args.rounds, args.steps)
    figures = {w.name: summary(seconds[w.name], cell.tokens) | w.close() for w in workers}
    for name in PEERS:
        ratio = figures[name]["milliseconds"] / figures["kbert"]["milliseconds"]
        figures[name]["kbert_is_faster_by"] = round(ratio, 2)
    results = {"machine": machine(), "cell": vars(cell), **figures}
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
