"""Requests a second and latency: `kbert serve` beside the simplest handler of the same export.

    python benchmarks/serving.py EXPORT TEXTS.txt --connections 1 4 16 64 --seconds 8 --rounds 3

EXPORT is a classifier that `kbert export` wrote, TEXTS a text a line, of mixed length. Closed loop:
each connection sends one text, waits for the answer, and sends the next. The servers take turns,
each in a process of its own; every label is compared with the offline answer. The simple handler is
FastAPI with uvicorn (`pip install fastapi`). Writes benchmarks/results/serving.json.
"""

import argparse
import asyncio
import itertools
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

from timing import versions, write_results

HERE = pathlib.Path(__file__).parent
PORT = 8590


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("export", type=pathlib.Path)
    parser.add_argument("texts", type=pathlib.Path)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def start(name, export):
    """A server's process, once it answers."""
    command = {
        "kbert": ["-m", "apps.serve", export, "--port", PORT, "--name", "m", "--log", "none"],
        "simple": [HERE / "serving_workers" / "simple_handler.py", export / "1", PORT],
    }[name]
    process = subprocess.Popen(
        [sys.executable, *map(str, command)],
        cwd=HERE.parent,
        env=os.environ | {"PYTHONPATH": str(HERE.parent)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while True:
        try:
            asyncio.run(ask_once("warm up"))
            return process
        except OSError:
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended with code {process.returncode}.") from None
            time.sleep(0.5)


async def ask_once(text):
    reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
    label = await ask(reader, writer, text)
    writer.close()
    return label


async def ask(reader, writer, text):
    """The label of a text, over a connection that stays open."""
    body = json.dumps({"instances": [text]}).encode()
    head = (
        f"POST /v1/models/m:predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    )
    writer.write(head.encode() + b"Content-Type: application/json\r\n\r\n" + body)
    status = await reader.readline()
    if not status:
        raise ConnectionResetError("no answer")
    length = 0
    while (line := await reader.readline()) != b"\r\n":
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return json.loads(await reader.readexactly(length))["predictions"][0]["label"]


async def closed_loop(texts, labels, connections, seconds):
    """Latencies in seconds, and how long it took."""
    numbers, latencies, wrong = itertools.count(), [], 0
    end = time.perf_counter() + seconds

    async def client():
        nonlocal wrong
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
        while time.perf_counter() < end:
            number = next(numbers) % len(texts)
            began = time.perf_counter()
            label = await ask(reader, writer, texts[number])
            latencies.append(time.perf_counter() - began)
            wrong += label != labels[number]
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(connections)))
    if wrong:
        raise RuntimeError(f"{wrong} of {len(latencies)} answers differ from the offline ones.")
    return latencies, time.perf_counter() - began


def processor_seconds(process):
    """What a process has computed so far, on Linux; elsewhere 0."""
    try:
        fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main():
    args = parse_arguments()
    from kbert import Predictor

    texts = [line for line in args.texts.read_text(encoding="utf-8").splitlines() if line]
    labels = [answer["label"] for answer in Predictor(args.export).predict(texts)]
    found = {}
    for _ in range(args.rounds):
        for name in ("kbert", "simple"):
            process = start(name, args.export)
            try:
                for connections in args.connections:
                    asyncio.run(closed_loop(texts, labels, connections, 1.0))
                    before = processor_seconds(process)
                    latencies, seconds = asyncio.run(
                        closed_loop(texts, labels, connections, args.seconds)
                    )
                    computed = (processor_seconds(process) - before) / len(latencies)
                    percentiles = statistics.quantiles(latencies, n=100)
                    row = len(latencies) / seconds, percentiles[49], percentiles[98], computed
                    found.setdefault((connections, name), []).append(row)
                    print(
                        f"{name:<8}{connections:>4} connections: {row[0]:8.1f} requests/s, "
                        f"p50 {1000 * row[1]:7.1f} ms, p99 {1000 * row[2]:7.1f} ms, "
                        f"processor {1000 * row[3]:6.2f} ms a request",
                        flush=True,
                    )
            finally:
                process.terminate()
                process.wait()
    results = {}
    for connections in args.connections:
        rows = {
            name: [
                statistics.median(column) for column in zip(*found[connections, name], strict=True)
            ]
            for name in ("kbert", "simple")
        }
        results[f"{connections} connections"] = {
            name: {
                "requests_a_second": round(r, 1),
                "p50_ms": round(1000 * p50, 1),
                "p99_ms": round(1000 * p99, 1),
                "processor_ms_a_request": round(1000 * computed, 2),
            }
            for name, (r, p50, p99, computed) in rows.items()
        } | {"times": round(rows["kbert"][0] / rows["simple"][0], 2)}
    about = versions("tensorflow", "keras", "starlette", "fastapi", "uvicorn")
    write_results("serving", about, results)
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
