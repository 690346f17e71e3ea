"""Files of texts classified by kbert, keras-hub and Hugging Face with the same weights.

    python benchmarks/inference.py --data DATA --peer-python torch-environment/bin/python

From texts in memory to probabilities, tokenizer included, in batches of each one's choice (kbert
64 or fewer, the others 32). SST-2: sentences of GLUE's dev set; IMDb: reviews of the test set. The
weights are random; all must answer the same. DATA holds glue/SST-2/dev.tsv and
imdb/test.jsonl.xz. Without PyTorch and transformers in the other environment, Hugging Face is left
out. Writes benchmarks/results/inference_MODEL.json and
docs/images/inference_MODEL.png.
"""

import argparse
import itertools
import json
import lzma
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from timing import draw_bars, has_transformers, interleave, summary, versions, write_results

HERE = pathlib.Path(__file__).parent
# The longest sequence of all, and what keras-hub pads every row to. SST-2's longest sentence has 55
# tokens: 64 is the best that a user of keras-hub can choose.
FILES = {"SST-2": (128, 64), "IMDb, 256": (256, 256), "IMDb, 512": (512, 512)}
SIZES = {
    "minilm": {"num_layers": 6, "num_heads": 12, "hidden_dim": 384, "intermediate_dim": 1536},
    "base": {"num_layers": 12, "num_heads": 12, "hidden_dim": 768, "intermediate_dim": 3072},
}
# Probabilities may differ by so much: 16 bits have three digits.
TOLERANCE = {"float32": 1e-3, "bfloat16": 0.05}


class Worker:
    """A process with a model, that answers one request at a time."""

    def __init__(self, python, script, *arguments):
        self.process = subprocess.Popen(
            [python, HERE / "inference_workers" / script, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": str(HERE.parent)},
            text=True,
        )

    def ask(self, texts, length, precision) -> dict:
        request = {"texts": texts, "length": length, "precision": precision}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("worker: "):
                return json.loads(line.removeprefix("worker: "))
        raise RuntimeError(f"{self.process.args} ended with code {self.process.wait()}.")


def write_models(folder: pathlib.Path, size: str, vocabulary: list[str]) -> None:
    """One classifier in the three formats; its weights are large enough that answers differ."""
    import keras

    from kbert import BertConfig, Checkpoint, WordPieceTokenizer, build_encoder, save
    from kbert.checkpoints.huggingface.directory import to_huggingface
    from kbert.checkpoints.keras_hub import to_keras_hub
    from kbert.tasks.classification import ClassificationTask

    config = BertConfig(len(vocabulary), **SIZES[size], initializer_stddev=0.04)
    keras.utils.set_random_seed(0)
    encoder, tokenizer = build_encoder(config), WordPieceTokenizer(vocabulary)
    task = ClassificationTask(labels=("0", "1"))
    model = task.build_model(encoder)
    head = [np.random.default_rng(0).normal(0, 0.1, (config.hidden_dim, 2)), np.zeros(2)]
    model.get_layer("classifier").set_weights(head)
    np.savez(folder / "head.npz", kernel=head[0], bias=head[1])
    checkpoint = Checkpoint(model, tokenizer, config, task)
    save(folder / "kbert", checkpoint)
    to_huggingface(folder / "huggingface", checkpoint)
    to_keras_hub(folder / "keras_hub", Checkpoint(encoder, tokenizer, config))


def read_texts(data: pathlib.Path, name: str, rows: int) -> list[str]:
    """The first rows of a set; of IMDb, which has one label after the other, every n-th.

    Reviews in ASCII only: keras-hub leaves the accents of lower-cased words, which are [UNK] then.
    """
    if name == "SST-2":
        lines = (data / "glue/SST-2/dev.tsv").read_text(encoding="utf-8").splitlines()[1:]
        return [line.split("\t")[0] for line in lines[:rows]]
    with lzma.open(data / "imdb/test.jsonl.xz", "rt", encoding="utf-8") as file:
        texts = [text for line in file if (text := json.loads(line)["text"]).isascii()]
    return texts[:: len(texts) // rows][:rows]


def measure(workers: dict, texts: list[str], name: str, precision: str, rounds: int) -> dict:
    length, padded = FILES[name]
    scores, first = {}, {}

    def turn(worker):
        def call() -> float:
            answer = workers[worker].ask(
                texts, padded if worker == "keras-hub" else length, precision
            )
            scores[worker] = answer["scores"]
            first.setdefault(worker, round(answer["seconds"], 3))
            return answer["seconds"]

        return call

    # Models are loaded before the first measured call, and what is traced is traced in it.
    seconds = interleave({worker: turn(worker) for worker in workers}, rounds)
    found = summary(seconds, "keras-hub", len(texts))
    for worker, values in found.items():
        difference = np.abs(np.subtract(scores[worker], scores["kbert"])).max()
        if difference > TOLERANCE[precision]:
            raise SystemExit(f"{worker} answers otherwise than kbert, by up to {difference:.4f}.")
        values |= {"first_seconds": first[worker], "difference": round(float(difference), 6)}
    return {"rows": len(texts), "spread_of_answers": round(float(np.std(scores["kbert"])), 4)} | {
        "contenders": found
    }


def start_workers(folder: pathlib.Path, peer_python: str | None) -> dict:
    scripts = {name: f"{name.replace('-', '_')}_worker.py" for name in ("kbert", "keras-hub")}
    workers = {name: Worker(sys.executable, script, folder) for name, script in scripts.items()}
    if not has_transformers(peer_python):
        return workers
    script = "huggingface_worker.py"
    workers["HF pipeline"] = Worker(peer_python, script, folder)
    workers["HF, sorted"] = Worker(peer_python, script, folder, "sorted")
    return workers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, default=os.environ.get("KBERT_DATA", "data"))
    parser.add_argument(
        "--peer-python", default=os.environ.get("KBERT_PEER_PYTHON", sys.executable)
    )
    parser.add_argument("--model", choices=SIZES, default="minilm")
    parser.add_argument("--precision", nargs="+", choices=TOLERANCE, default=list(TOLERANCE))
    parser.add_argument("--file", nargs="+", choices=FILES, default=list(FILES))
    parser.add_argument("--rows", type=int, default=872, help="at most, of each file")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--name", help="of the result's files; default: inference_MODEL")
    args = parser.parse_args()
    args.name = args.name or f"inference_{args.model}"
    vocabulary = args.data / "vocab" / "bert-base-uncased.vocab.txt"
    if not vocabulary.is_file():
        raise SystemExit(f"--data: expected the sets, and {vocabulary.name}, in {args.data}.")
    about = versions("kbert", "tensorflow", "keras", "keras-hub", "keras-nlp") | versions(
        "torch", "transformers", python=args.peer_python
    )
    with tempfile.TemporaryDirectory() as folder:
        write_models(pathlib.Path(folder), args.model, vocabulary.read_text("utf-8").split())
        workers = start_workers(pathlib.Path(folder), args.peer_python)
        for name, precision in itertools.product(args.file, args.precision):
            texts = read_texts(args.data, name, args.rows)
            found = measure(workers, texts, name, precision, args.rounds)
            print(name, precision, json.dumps(found, indent=1), flush=True)
            # At once: what comes after it may be stopped.
            results = write_results(
                args.name,
                {"model": args.model, "versions": about},
                {f"{name}, {precision}": found},
            )
        for worker in workers.values():
            worker.process.stdin.close()
            worker.process.wait()
    draw(args.name, args.model, results)


def draw(name: str, model: str, results: dict) -> None:
    bars = {
        title: {worker: one["rate"] for worker, one in found["contenders"].items()}
        for title, found in results.items()
    }
    draw_bars(name, f"{model}: texts classified", bars, "texts a second")


if __name__ == "__main__":
    main()
