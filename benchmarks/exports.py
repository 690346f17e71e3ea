"""One call of an export: SavedModel, ONNX, ONNX in 8 bits; and what 8 bits cost in right answers.

    python benchmarks/exports.py --peer-python torch-environment/bin/python
    python benchmarks/exports.py --first-answers
    python benchmarks/exports.py --scores CHECKPOINT ROWS ...

The first compares calls of base with random weights, ids in, logits out, at several shapes, on as
many threads as there are cores, in turns, with Hugging Face's model where there is one
(benchmarks/results/exports.json). The second is the first answer of a fresh process: import, load,
one text (first_answers.json). The third answers labelled rows with the exports of fine-tuned
checkpoints, and prints the metrics of the task.
"""

import argparse
import functools
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from side_by_side import HERE, Worker
from timing import has_transformers, interleave, summary, versions, write_results

SHAPES = ((1, 32), (1, 128), (32, 128))
FORMS = {
    "SavedModel": {"format": "saved-model"},
    "SavedModel, bfloat16": {"format": "saved-model", "dtype": "bfloat16"},
    "ONNX": {"format": "onnx"},
    "ONNX, int8": {"format": "onnx", "int8": True},
}


def export_all(checkpoint: str | pathlib.Path, folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """Each form's folder, of a checkpoint's."""
    from kbert.serving.export_any import export
    from kbert.serving.settings import ExportSettings

    return {
        name: export(folder / str(number), checkpoint, ExportSettings(**options))
        for number, (name, options) in enumerate(FORMS.items())
    }


def megabytes(folder: pathlib.Path) -> str:
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return f"{size / 1e6:.1f} MB"


def write_random(size: str, folder: pathlib.Path) -> pathlib.Path:
    """A classifier of two labels with random weights."""
    from kbert import BertConfig, Checkpoint, WordPieceTokenizer, build_encoder, save
    from kbert.tasks.classification import ClassificationTask
    from kbert.text.vocabulary import SPECIAL_TOKENS

    pieces = [*SPECIAL_TOKENS, *(f"piece{number}" for number in range(30522 - 5))]
    config = BertConfig.preset(size, len(pieces), activation="gelu_erf")
    task = ClassificationTask(labels=("0", "1"))
    model = task.build_model(build_encoder(config))
    save(folder / "checkpoint", Checkpoint(model, WordPieceTokenizer(pieces), config, task))
    return folder / "checkpoint"


def time_calls(size: str, rounds: int, peer_python: str) -> None:
    from kbert import Predictor

    with tempfile.TemporaryDirectory() as temporary:
        work = pathlib.Path(temporary)
        folders = export_all(write_random(size, work), work)
        sizes = {name: megabytes(folder) for name, folder in folders.items()}
        models = {name: Predictor(folder).answerer.model for name, folder in folders.items()}
        peers = start_peers(peer_python) if size == "base" else {}
        packages = versions("kbert", "tensorflow", "onnx", "onnxruntime")
        packages |= versions("torch", "transformers", python=peer_python)
        about = {"model": size, "versions": packages, "sizes": sizes}
        for batch, length in SHAPES:
            ids = np.random.default_rng(0).integers(5, 30000, (batch, length)).astype("int32")
            inputs = {
                "token_ids": ids,
                "segment_ids": np.zeros_like(ids),
                "padding_mask": np.ones_like(ids),
            }
            calls = {name: functools.partial(model.run, inputs) for name, model in models.items()}
            for name, worker in peers.items():
                calls[name] = functools.partial(worker.ask, f"{batch} {length}")
            # The first rounds trace and allocate what stays.
            values = summary(interleave(calls, rounds, warmup=3), "SavedModel", batch)
            print(f"{batch} x {length}", values, flush=True)
            write_results("exports", about, {f"{batch} x {length}": values})
        print(sizes)
        for worker in peers.values():
            worker.process.stdin.close()


def start_peers(python: str) -> dict[str, Worker]:
    """Hugging Face's model in each precision, where the interpreter has it."""
    if not has_transformers(python):
        return {}
    script = "inference_workers/huggingface_calls.py"
    found = {
        f"Hugging Face, {precision}": Worker("Hugging Face", python, script, [precision])
        for precision in ("float32", "bfloat16")
    }
    for worker in found.values():
        worker.ready()
    return found


def time_first_answers(size: str, rounds: int) -> None:
    """Seconds from the start of `kbert predict` with one text to its first answer."""
    with tempfile.TemporaryDirectory() as temporary:
        work = pathlib.Path(temporary)
        folders = export_all(write_random(size, work), work)
        calls = {name: functools.partial(first_answer, path) for name, path in folders.items()}
        values = summary(interleave(calls, rounds), "SavedModel")
    print("first answer", values)
    about = {"model": size, "versions": versions("kbert", "tensorflow", "onnxruntime")}
    write_results("first_answers", about, {"first answer": values})


def first_answer(folder: pathlib.Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "apps.cli", "predict", folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(HERE.parent)},
        text=True,
    )
    process.stdin.write("piece1 piece2 piece3\n")
    process.stdin.flush()
    if "probabilities" not in process.stdout.readline():
        raise SystemExit(f"{folder} does not answer.")
    process.kill()
    process.wait()


def compare_scores(checkpoint_path: str, rows: str) -> None:
    from kbert import Predictor
    from kbert.checkpoints.formats import load_finetuned
    from kbert.finetuning.evaluate import evaluate

    checkpoint = load_finetuned(checkpoint_path)
    with tempfile.TemporaryDirectory() as folder:
        for name, path in export_all(checkpoint_path, pathlib.Path(folder)).items():
            answerer = Predictor(path).answerer
            exported = checkpoint._replace(model=answerer.model, tokenizer=answerer.tokenizer)
            found = evaluate(checkpoint.task, exported, rows)
            scores = {key: found[key] for key in checkpoint.task.metric_names if key in found}
            shown = ", ".join(f"{key} {100 * value:.2f}" for key, value in scores.items())
            print(f"{checkpoint_path} {name} ({megabytes(path)}): {shown}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="base", help="a preset")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--first-answers", action="store_true")
    parser.add_argument(
        "--peer-python", default=os.environ.get("KBERT_PEER_PYTHON", sys.executable)
    )
    parser.add_argument("--scores", nargs="+", metavar="PATH", help="CHECKPOINT ROWS, in turns")
    args = parser.parse_args()
    if args.first_answers:
        time_first_answers(args.model, args.rounds)
    elif args.scores is None:
        time_calls(args.model, args.rounds, args.peer_python)
    else:
        for checkpoint, rows in zip(args.scores[::2], args.scores[1::2], strict=True):
            compare_scores(checkpoint, rows)


if __name__ == "__main__":
    main()
