"""`kbert prepare` and `kbert vocabulary` on Apache Beam's runner in this process, beside without.

    python benchmarks/beam.py --data DATA

DATA holds the folders pretrain_en, with enwiki.jsonl.xz in it, and vocab. Each process works alone:
one worker, so that only what Beam adds differs. Writes benchmarks/results/beam.json.
"""

import argparse
import json
import lzma
import pathlib
import subprocess
import sys
import tempfile

from timing import versions, write_results

MEGABYTES = 40
_COMMAND = """
import json, resource, sys, time
began = time.monotonic()
from apps.cli import run_command
code = run_command(sys.argv[1], sys.argv[2:])
usage = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"code": code, "seconds": round(time.monotonic() - began, 2),
                  "processor_seconds": round(usage.ru_utime + usage.ru_stime, 2),
                  "peak_memory_megabytes": usage.ru_maxrss // 1024}))
"""


def write_text(path: pathlib.Path, source: pathlib.Path) -> None:
    """Some megabytes of articles, four files of them."""
    files = [open(path / f"{number}.jsonl", "w", encoding="utf-8") for number in range(4)]
    written = 0
    with lzma.open(source, "rt", encoding="utf-8") as lines:
        for line in lines:
            files[min(3, int(written / 1e6 / MEGABYTES * 4))].write(line)
            written += len(line.encode())
            if written > MEGABYTES * 1e6:
                break
    for file in files:
        file.close()


def measure(*arguments) -> dict:
    """A command's seconds with its imports, of the processor too, and the most memory."""
    command = [sys.executable, "-c", _COMMAND, *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    if found.pop("code"):
        raise SystemExit(done.stderr)
    return found


def measured(folder: pathlib.Path, vocabulary: pathlib.Path, where: str, name: str) -> list[dict]:
    """Both commands with one worker."""
    runner, beam = ["--runner", "direct"], where == "beam"
    prepare = ["--vocabulary", vocabulary, "--output", folder / f"{name}-store"]
    prepare += runner if beam else ["--processes", 1]
    count = ["--quiet", "--output", folder / f"{name}.txt", *(runner if beam else ["--workers", 1])]
    rows = []
    for command, options in (("prepare", prepare), ("vocabulary", count)):
        found = measure(command, folder / "text", *options)
        rows.append({"command": command, "where": where, **found})
        print(json.dumps(rows[-1]), flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--rounds", type=int, default=1)
    args = parser.parse_args()
    vocabulary = args.data / "vocab" / "bert-base-uncased.vocab.txt"
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "text").mkdir()
        write_text(folder / "text", args.data / "pretrain_en" / "enwiki.jsonl.xz")
        for number in range(args.rounds):
            for where in ("local", "beam"):
                rows += measured(folder, vocabulary, where, f"{where}-{number}")
            stores = (folder / f"{where}-{number}-store" for where in ("local", "beam"))
            if len({(store / "store.json").read_bytes() for store in stores}) != 1:
                raise SystemExit("The stores differ.")
    names = ("apache-beam", "tensorflow", "tensorflow-text")
    about = {"megabytes": MEGABYTES, "versions": versions(*names)}
    write_results("beam", about, {"processes of one worker": rows})


if __name__ == "__main__":
    main()
