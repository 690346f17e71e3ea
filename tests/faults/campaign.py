"""Commands killed at random moments and given again: the end is that of a command never killed.

    python -m tests.faults.campaign --times 100 pretrain finetune

Each time a command is started anew, killed by SIGKILL somewhere between its beginning and the time
that it took whole, and given again. Without names, all commands.
"""

import argparse
import dataclasses
import fnmatch
import hashlib
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping

from tests.conftest import ROOT
from tests.small_store import random_documents, vocabulary_of, write_store
from tests.tiny_checkpoint import WORDS, write_checkpoint, write_rows


@dataclasses.dataclass(frozen=True)
class Command:
    """What is killed.

    Attributes:
        arguments: of kbert, with {inputs} and {output}.
        kept: patterns of the files, relative to the output, that must be the same; what else it
            holds says when it ran, or how long.
    """

    arguments: str
    kept: tuple[str, ...] = ("*",)


_TINY = "--epochs 3 --batch-size 8 --validation-share 0 --sequence-length 16"
_MODEL = ("*.safetensors", "config.json", "task.json", "vocab.txt")
COMMANDS = {
    "vocabulary": Command("vocabulary {inputs}/text.txt --size 60 --quiet --output {output}"),
    "prepare": Command(
        "prepare {inputs}/text.txt --vocabulary {inputs}/start/vocab.txt --output {output}"
    ),
    "pretrain": Command(
        "pretrain {inputs}/store --preset tiny --num-steps 12 --batch-size 4 --sequence-length 16 "
        "--save-every 3 --validate-every 6 --validation-batches 1 --output {output}",
        _MODEL,
    ),
    "finetune": Command(
        "finetune classification --from {inputs}/start --train {inputs}/train.tsv "
        f"{_TINY} --output {{output}}",
        _MODEL,
    ),
    "sweep": Command(
        "sweep classification --from {inputs}/start --train {inputs}/train.tsv --validation "
        "{inputs}/train.tsv --epochs 1 --batch-size 8 16 --learning-rate 1e-3 --sequence-length "
        "16 --output {output}",
        _MODEL,
    ),
    "export": Command(
        "export {inputs}/tuned --output {output} --version 1", ("*/variables/*", "*/assets/*")
    ),
    "convert": Command("convert {inputs}/start --to huggingface --output {output}"),
    "embed": Command("embed {inputs}/start {inputs}/text.txt --output {output}"),
    "predict": Command("predict {inputs}/tuned {inputs}/unlabelled.tsv --output {output}"),
}


def write_inputs(folder: pathlib.Path) -> None:
    """All that the commands read."""
    write_checkpoint(folder / "start")
    write_rows(folder / "train.tsv", 40, seed=1)
    rows = (folder / "train.tsv").read_text().splitlines()
    texts = [row.split("\t")[0] for row in rows[1:]]
    (folder / "unlabelled.tsv").write_text("\n".join(["text", *texts * 20]) + "\n")
    generator = random.Random(0)
    lines = (" ".join(generator.choices(WORDS, k=12)) + "." for _ in range(2000))
    (folder / "text.txt").write_text("\n\n".join(lines) + "\n")
    documents = (random_documents(count, 60, seed=seed) for seed, count in enumerate((40, 10)))
    write_store(folder / "store", *documents, vocabulary_of(60))
    run(COMMANDS["finetune"], folder, folder / "tuned")


def start(command: Command, inputs: pathlib.Path, output: pathlib.Path) -> subprocess.Popen:
    """The command as a process."""
    arguments = command.arguments.format(inputs=inputs, output=output).split()
    line = [sys.executable, "-m", "apps.cli", *arguments]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(line, cwd=ROOT, **pipes)


def run(command: Command, inputs: pathlib.Path, output: pathlib.Path) -> str:
    """Run a command to its end. Returns what it complained of: nothing if it ended with 0."""
    process = start(command, inputs, output)
    _, error = process.communicate()
    return error[-2000:] or "no word" if process.returncode else ""


def digests(command: Command, output: pathlib.Path) -> Mapping[str, str]:
    """Of the files that must be the same."""
    if output.is_file():
        return {"": _digest(output)}
    names = {str(path.relative_to(output)): path for path in output.rglob("*") if path.is_file()}
    return {
        name: _digest(path)
        for name, path in names.items()
        if any(fnmatch.fnmatch(name, pattern) for pattern in command.kept)
    }


def _digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def killed(command: Command, inputs: pathlib.Path, output: pathlib.Path, seconds: float) -> str:
    """Kill a command after so many seconds and give it again. Returns what it complained of.

    One that is done already, but for its last word, may say that its output is there.
    """
    process = start(command, inputs, output)
    try:
        process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return run(command, inputs, output)
    return ""


def campaign(
    name: str, inputs: pathlib.Path, folder: pathlib.Path, times: int, seed: int = 0
) -> list[str]:
    """Kill a command so many times. Returns a sentence for each time that ended otherwise."""
    command, generator, found = COMMANDS[name], random.Random(f"{name} {seed}"), []
    began = time.monotonic()
    problem = run(command, inputs, folder / "whole")
    took, expected = time.monotonic() - began, digests(command, folder / "whole")
    if problem or not expected:
        return [f"{name}, never killed: {problem or 'it wrote nothing'}"]
    for number in range(times):
        output, seconds = folder / f"killed-{number}", generator.uniform(0, took)
        problem = killed(command, inputs, output, seconds)
        if digests(command, output) != expected:
            found.append(
                f"{name}, killed after {seconds:.2f} of {took:.2f} s: {problem or 'other'}"
            )
        for left in folder.glob(f"killed-{number}*"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("commands", nargs="*", choices=[[], *COMMANDS], metavar="COMMAND")
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        inputs = pathlib.Path(folder, "inputs")
        inputs.mkdir()
        write_inputs(inputs)
        for name in args.commands or COMMANDS:
            own = pathlib.Path(folder, name)
            own.mkdir()
            found = campaign(name, inputs, own, args.times, args.seed)
            print(f"{name}: {args.times} times, {len(found)} ended otherwise", flush=True)
            for line in found:
                print(f"  {line}", flush=True)
            failed = failed or bool(found)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
