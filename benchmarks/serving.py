"""Requests a second and latency: `kbert serve` beside the simplest handlers of the same model.

    python benchmarks/serving.py CHECKPOINT TEXTS.txt --peer-python torch-environment/bin/python
    python benchmarks/serving.py CHECKPOINT TEXTS.txt --size base --connections 1 16
    python benchmarks/serving.py CHECKPOINT TEXTS.txt --servers kbert --overload

CHECKPOINT is a fine-tuned classifier, TEXTS a text a line, of mixed length; `--size base` takes its
vocabulary and labels, and random weights of that size. Three handlers of FastAPI and uvicorn (`pip
install fastapi`) call the SavedModel, ONNX Runtime, and Hugging Face's model; the last two need an
environment with torch, transformers and onnxruntime. The servers take turns, each in a process of
its own with all cores; every label is compared with the offline answer.

Each load runs once before it is measured: a server compiles and keeps a kernel for each shape of a
batch, which it meets in the first seconds. Closed loop: each connection sends one text, waits for
the answer, and sends the next. Open loop (`--rates`): so many texts a second, whoever waits.
Overload: three times what the server can do, against a short queue. Writes
benchmarks/results/serving.json.
"""

import argparse
import asyncio
import contextlib
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from serving_load import PORT, Load, Texts, answers, closed_loop, open_loop
from timing import versions, write_results

HERE = pathlib.Path(__file__).parent
WORKERS = HERE / "serving_workers"
QUEUE = 32  # texts, of the server that is overloaded


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=pathlib.Path)
    parser.add_argument("texts", type=pathlib.Path)
    parser.add_argument("--size", help="base, say: random weights of that size")
    parser.add_argument("--servers", nargs="+", default=["kbert", "simple", "onnx", "huggingface"])
    parser.add_argument("--connections", type=int, nargs="*", default=[1, 4, 16, 64])
    parser.add_argument("--rates", type=float, nargs="*", default=[])
    parser.add_argument("--overload", action="store_true")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--warm-up", type=float, default=8.0, help="seconds before each load")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=pathlib.Path, help="keeps the exports there")
    parser.add_argument(
        "--peer-python", default=os.environ.get("KBERT_PEER_PYTHON", sys.executable)
    )
    return parser.parse_args()


def write_models(folder: pathlib.Path, args) -> None:
    """The checkpoint in each server's format, unless the folder has it."""
    from kbert.checkpoints.formats import load_finetuned
    from kbert.checkpoints.huggingface.directory import to_huggingface
    from kbert.serving.export import export_saved_model
    from kbert.serving.onnx.export import export_onnx

    if (folder / "huggingface").exists():
        return
    checkpoint = load_finetuned(args.checkpoint)
    if args.size:
        checkpoint = random_weights(checkpoint, args.size)
    export_saved_model(folder / "saved_model", checkpoint)
    export_onnx(folder / "onnx", checkpoint)
    to_huggingface(folder / "huggingface", checkpoint)


def random_weights(checkpoint, size: str):
    """A model of another size for the same task, whose answers to two texts differ."""
    import keras
    import numpy as np

    from kbert import BertConfig, Checkpoint, build_encoder

    keras.utils.set_random_seed(0)
    tokenizer, task = checkpoint.tokenizer, checkpoint.task
    config = BertConfig.preset(size, len(tokenizer.vocabulary), initializer_stddev=0.04)
    model = task.build_model(build_encoder(config))
    head = np.random.default_rng(0).normal(0, 0.5, (config.hidden_dim, len(task.labels)))
    model.get_layer("classifier").set_weights([head, np.zeros(len(task.labels))])
    return Checkpoint(model, tokenizer, config, task)


def command(name: str, folder: pathlib.Path, length: int, peer: str) -> list[str]:
    """What starts a server."""
    saved_model, onnx, huggingface = (folder / n for n in ("saved_model", "onnx", "huggingface"))
    serve = [sys.executable, "-m", "apps.serve", saved_model, "--port", PORT, "--name", "m"]
    kbert = [*serve, "--log", "none", "--reload-seconds", 0]
    found = {
        "kbert": kbert,
        "kbert, overloaded": [*kbert, "--max-queued-texts", QUEUE],
        "simple": [sys.executable, WORKERS / "simple_handler.py", saved_model, PORT],
        "onnx": [peer, WORKERS / "onnx_handler.py", onnx, PORT, length, huggingface],
        "huggingface": [peer, WORKERS / "huggingface_handler.py", huggingface, PORT, length],
    }[name]
    return list(map(str, found))


@contextlib.contextmanager
def running(name: str, *given):
    """A server's process, while it answers."""
    process = subprocess.Popen(
        command(name, *given),
        cwd=HERE.parent,
        env=os.environ | {"PYTHONPATH": str(HERE.parent)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not asyncio.run(answers("warm up")):
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended with code {process.returncode}.")
            time.sleep(0.5)
        yield process
    finally:
        process.terminate()
        process.wait()


def processor_seconds(process) -> float:
    """What a process has computed so far, on Linux; elsewhere 0."""
    try:
        fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def milliseconds(latencies: list[float], percent: int) -> float:
    return round(1000 * statistics.quantiles(latencies, n=100)[percent - 1], 1)


def measure(process, load) -> dict:
    """One load's figures. `load` takes seconds."""
    before = processor_seconds(process)
    found: Load = asyncio.run(load)
    computed = processor_seconds(process) - before
    if found.wrong:
        raise RuntimeError(f"{found.wrong} of {len(found.answered)} answers differ.")
    return {
        "requests_a_second": round(len(found.answered) / found.seconds, 1),
        "p50_ms": milliseconds(found.answered, 50),
        "p99_ms": milliseconds(found.answered, 99),
        "processor_ms_a_request": round(1000 * computed / len(found.answered), 2),
    }


def loads(args, texts: Texts):
    """Each load's name, and the function of seconds that gives it."""
    for connections in args.connections:
        yield f"{connections} connections", lambda s, c=connections: closed_loop(texts, c, s)
    for rate in args.rates:
        yield f"{rate:g} a second", lambda s, r=rate: open_loop(texts, r, s)


def overload(process, texts: Texts, seconds: float) -> dict:
    """Three times the texts that the server can answer, and what it does behind that."""
    asyncio.run(closed_loop(texts, 16, seconds))
    full = measure(process, closed_loop(texts, 16, seconds))["requests_a_second"]
    flood: Load = asyncio.run(open_loop(texts, 3 * full, seconds))
    behind: Load = asyncio.run(closed_loop(texts, 16, 2.0))
    first = sum(when < 1.0 for when in behind.ended)
    return {
        "requests_a_second": full,
        "sent_a_second": round(3 * full, 1),
        "answered_a_second": round(len(flood.answered) / flood.seconds, 1),
        "refused": len(flood.refused),
        "refusal_p50_ms": milliseconds(flood.refused, 50),
        "refusal_p99_ms": milliseconds(flood.refused, 99),
        "wrong": flood.wrong + behind.wrong,
        "in_the_second_behind": first,
    }


def medians(rows: list[dict]) -> dict:
    return {name: round(statistics.median(row[name] for row in rows), 2) for name in rows[0]}


def main():
    args = parse_arguments()
    with contextlib.ExitStack() as stack:
        folder = args.folder or pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        write_models(folder, args)
        from kbert import Predictor

        lines = [line for line in args.texts.read_text(encoding="utf-8").splitlines() if line]
        predictor = Predictor(folder / "saved_model")
        texts = Texts(lines, [answer["label"] for answer in predictor.predict(lines)])
        given = folder, predictor.answerer.task.sequence_length, args.peer_python
        found: dict[str, dict[str, list[dict]]] = {}
        for _ in range(args.rounds):
            for name in args.servers:
                with running(name, *given) as process:
                    for load, start in loads(args, texts):
                        asyncio.run(start(args.warm_up))
                        row = measure(process, start(args.seconds))
                        found.setdefault(load, {}).setdefault(name, []).append(row)
                        print(f"{name:<12} {load:<16}", row, flush=True)
        results = {
            f"{args.size or args.checkpoint.name}, {load}": {
                name: medians(rows) for name, rows in servers.items()
            }
            for load, servers in found.items()
        }
        if args.overload:
            with running("kbert, overloaded", *given) as process:
                results["overload"] = overload(process, texts, args.seconds)
                print(results["overload"])
    peers = versions("torch", "transformers", "onnxruntime", python=args.peer_python)
    about = versions("tensorflow", "keras", "starlette", "fastapi", "uvicorn")
    write_results("serving", {**about, "peers": peers}, results)


if __name__ == "__main__":
    main()
