"""Workers of several frameworks, one process each, that take their turns step by step.

A machine's speed drifts by more than what frameworks differ. So each worker builds its model,
warms up, and then runs a few steps whenever it is asked: the workers of a group alternate, and what
drifts meets all of them alike.
"""

import json
import pathlib
import statistics
import subprocess
import sys
import venv

HERE = pathlib.Path(__file__).parent


class Worker:
    """A process that answers "N" on a line with the seconds of N steps (`worker.serve`)."""

    def __init__(self, name, python, script, arguments, environment=None):
        self.name = name
        self.process = subprocess.Popen(
            [python, HERE / script, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.about = {}

    def ready(self) -> None:
        """Wait until it is warm."""
        self.about = self._answer()

    def run(self, steps: int) -> list[float]:
        return self.ask(steps)

    def ask(self, line: object):
        """What the process answers to a line."""
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self._answer()

    def step_memory_mb(self) -> int:
        """The most that the process has in memory during a step."""
        return self.ask("memory")

    def close(self) -> dict:
        """Ends the process; returns what it says at the end: its peak memory."""
        self.process.stdin.close()
        answer = self._answer()
        self.process.wait()
        return answer

    def _answer(self):
        for line in self.process.stdout:
            if line.startswith("worker: "):
                return json.loads(line.removeprefix("worker: "))
        raise RuntimeError(f"{self.name} ended with code {self.process.wait()}, see above.")


def take_turns(workers: list[Worker], rounds: int, steps: int) -> dict[str, list[float]]:
    """name -> the seconds of rounds x steps steps. The order turns round with every round."""
    seconds = {worker.name: [] for worker in workers}
    for number in range(rounds):
        for worker in workers if number % 2 == 0 else workers[::-1]:
            seconds[worker.name] += worker.run(steps)
    return seconds


def summary(seconds: list[float], tokens: int) -> dict:
    median = statistics.median(seconds)
    return {
        "milliseconds": round(1000 * median, 1),
        "fastest": round(1000 * min(seconds), 1),
        "slowest": round(1000 * max(seconds), 1),
        "steps": len(seconds),
        "tokens_per_second": round(tokens / median),
    }


def find_python(environments: pathlib.Path, name: str, packages: list[str], install: bool):
    """The interpreter of a peer's environment; None, with a line that says so, where it lacks."""
    python = environments / name / "bin" / "python"
    if not python.exists() and install:
        venv.create(environments / name, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
    if python.exists():
        return str(python)
    print(
        f"missing: {name} ({python}); --install makes it with pip install {' '.join(packages)}",
        file=sys.stderr,
    )
    return None
