"""Commands killed at random moments and given again: the end is that of a command never killed.

    python -m tests.faults.campaign --times 100 pretrain finetune
    python -m tests.faults.campaign --times 100 --signal TERM

Each time a command is started anew, killed somewhere between its beginning and the time that it
took whole, and given again. Without names, all commands. One that is told to end (TERM, INT) must
say so in a sentence, with the exit code of the signal.
"""

import argparse
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time

from tests.faults.commands import COMMANDS, Command, digests, write_inputs
from tests.faults.processes import Ended, Started, run

SIGNALS = {name: getattr(signal, f"SIG{name}") for name in ("KILL", "TERM", "INT")}
_LONGEST = 120.0  # Seconds from a signal to the end, on a machine that does much else.


def killed(
    command: Command, inputs: pathlib.Path, output: pathlib.Path, seconds: float, number: int
) -> str:
    """Kill a command after so many seconds and give it again. Returns what is wrong with it.

    One that is done already, but for its last word, may say that its output is there.
    """
    line = command.line(inputs, output)
    process = Started(line)
    ended = process.ended(seconds)
    if ended is None:
        process.send(number)
        ended = process.ended(_LONGEST)
        if ended is None:
            process.send(signal.SIGKILL)
            return "it did not end"
        if problem := _problem_of_ending(ended, number):
            return problem
        ended = run(line)
    return "" if ended.code == 0 else ended.error[-2000:] or f"code {ended.code}"


def _problem_of_ending(ended: Ended, number: int) -> str:
    """A signal that came before the command listened ended the process itself."""
    if ended.code in (0, -number):
        return ""
    if ended.code == 128 + number and ended.is_a_sentence:
        return ""
    return f"at the signal: code {ended.code}: {ended.error[-2000:]}"


def campaign(
    name: str,
    inputs: pathlib.Path,
    folder: pathlib.Path,
    times: int,
    seed: int = 0,
    number: int = signal.SIGKILL,
) -> list[str]:
    """Kill a command so many times. Returns a sentence for each time that ended otherwise."""
    command, generator, found = COMMANDS[name], random.Random(f"{name} {seed}"), []
    began = time.monotonic()
    ended = run(command.line(inputs, folder / "whole"))
    took, expected = time.monotonic() - began, digests(command, folder / "whole")
    if ended.code or not expected:
        return [f"{name}, never killed: code {ended.code}: {ended.error or 'it wrote nothing'}"]
    for attempt in range(times):
        output, seconds = folder / f"killed-{attempt}", generator.uniform(0, took)
        problem = killed(command, inputs, output, seconds, number)
        if digests(command, output) != expected:
            problem = f"other output. {problem}"
        elif "is finished" in problem or "is not empty" in problem or "already there" in problem:
            problem = ""
        if problem:
            found.append(f"{name}, killed after {seconds:.2f} of {took:.2f} s: {problem}")
        for left in [*folder.glob(f"killed-{attempt}*"), *folder.glob(f".killed-{attempt}*")]:
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("commands", nargs="*", choices=[[], *COMMANDS], metavar="COMMAND")
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--signal", choices=SIGNALS, default="KILL")
    args = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        inputs = pathlib.Path(folder, "inputs")
        write_inputs(inputs)
        for name in args.commands or COMMANDS:
            own = pathlib.Path(folder, name)
            own.mkdir()
            found = campaign(name, inputs, own, args.times, args.seed, SIGNALS[args.signal])
            print(f"{name}: SIG{args.signal} {args.times} times, {len(found)} wrong", flush=True)
            for line in found:
                print(f"  {line}", flush=True)
            failed = failed or bool(found)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
