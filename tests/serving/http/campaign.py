"""Many answers of a server that is disturbed: versions, SIGTERM and restart, clients that leave.

    python -m tests.serving.http.campaign --answers 100000

Every answer is compared with the offline one, every request that was sent in time before a SIGTERM
must be answered, and the server's memory is measured between the restarts. Prints the figures.
"""

import argparse
import asyncio
import dataclasses
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import numpy as np

from kbert import Predictor
from tests.conftest import ROOT

# A request that was sent so long before the SIGTERM was accepted; a later one may find the
# connection closed, and is sent again, as HTTP's clients do.
_ACCEPTED_SECONDS = 0.5
_TEXTS = [
    "the film was good",
    "",
    "今天天气很好",
    "bad music " * 20,
    "we saw it , !",
    "seeing " * 9,
]


@dataclasses.dataclass
class Figures:
    """What happened. `memory` are pairs of answers since the last restart, and bytes."""

    answers: int = 0
    wrong: int = 0
    lost: int = 0
    refused: int = 0
    cancelled: int = 0
    restarts: int = 0
    version: int = 1  # Served at the end.
    memory: list[tuple[int, int]] = dataclasses.field(default_factory=list)

    def slope(self, behind: int) -> float:
        """Bytes an answer, by least squares over what comes behind so many answers."""
        later = [(count, size) for count, size in self.memory if count >= behind]
        return float(np.polyfit(*zip(*later, strict=True), 1)[0])


class Campaign:
    """The server and the clients that ask it.

    Args:
        export: a version's folder; copies of it become the versions.
        folder: an empty one, for them.
        answers: how many texts are answered.
        restarts, versions: how often in the first fifth, and in the whole.
    """

    def __init__(
        self,
        export: pathlib.Path,
        folder: pathlib.Path,
        answers: int,
        restarts: int,
        versions: int,
        clients: int = 16,
    ):
        self.export, self.folder, self.clients = export, folder, clients
        self.expected = Predictor(export).predict(_TEXTS)
        self.wanted, self.figures = answers, Figures()
        self.restart_at = [answers * (n + 1) // (5 * restarts) for n in range(restarts)]
        self.version_at = [answers * n // versions for n in range(1, versions)]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.stopped = 0.0  # When the last SIGTERM was sent.
        self.restarted = 0  # Answers there were then.
        self.random = random.Random(0)
        shutil.copytree(export, folder / "1")

    async def run(self) -> Figures:
        self.process = await self._start()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._disturb())
                for _ in range(self.clients):
                    group.create_task(self._client())
            await self._wait_for_newest()
        finally:
            self.process.kill()
            self.process.wait()
        return self.figures

    async def _start(self) -> subprocess.Popen:
        command = ["-m", "apps.serve", self.folder, "--name", "m", "--port", self.port]
        options = ["--log", "none", "--reload-seconds", "0.2"]
        process = subprocess.Popen(
            [sys.executable, *map(str, command), *options],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not await self._answers():
            if process.poll() is not None:
                raise RuntimeError(f"The server ended with {process.returncode}.")
            await asyncio.sleep(0.2)
        return process

    async def _answers(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True

    async def _wait_for_newest(self, seconds: float = 60.0) -> None:
        """A version takes seconds to load beside so many requests."""
        newest = max(int(path.name) for path in self.folder.iterdir())
        give_up = time.monotonic() + seconds
        while (version := await self._version()) < newest and time.monotonic() < give_up:
            await asyncio.sleep(0.2)
        self.figures.version = version

    async def _version(self) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"GET /v1/models/m HTTP/1.1\r\nHost: localhost\r\n\r\n")
        _, values = await _response(reader)
        writer.close()
        return int(values["model_version_status"][0]["version"])

    async def _disturb(self) -> None:
        """New versions and restarts when their number of answers is there; memory meanwhile."""
        version, step = 1, max(1, self.wanted // 200)
        measured = 0
        while self.figures.answers < self.wanted:
            await asyncio.sleep(0.05)
            if self.process.poll() is not None:
                raise RuntimeError(f"The server ended with {self.process.returncode}.")
            count = self.figures.answers
            if self.restart_at and count >= self.restart_at[0]:
                self.restart_at.pop(0)
                self.stopped = time.monotonic()
                self.process.send_signal(signal.SIGTERM)
                await asyncio.to_thread(self.process.wait)
                self.process = await self._start()
                self.figures.restarts += 1
                self.figures.memory.clear()
                self.restarted = measured = self.figures.answers
            elif self.version_at and count >= self.version_at[0]:
                self.version_at.pop(0)
                version += 1
                await asyncio.to_thread(self._add_version, version)
            if count - measured >= step:
                measured = count
                self.figures.memory.append((count - self.restarted, memory_of(self.process.pid)))

    def _add_version(self, version: int) -> None:
        shutil.copytree(self.export, self.folder / ".new")
        (self.folder / ".new").rename(self.folder / str(version))
        if version > 2:
            shutil.rmtree(self.folder / str(version - 2))

    async def _client(self) -> None:
        streams = None
        while self.figures.answers < self.wanted:
            numbers = self.random.choices(range(len(_TEXTS)), k=self.random.randint(1, 8))
            sent = time.monotonic()
            try:
                streams = streams or await asyncio.open_connection("127.0.0.1", self.port)
                sent = time.monotonic()
                streams[1].write(_request([_TEXTS[number] for number in numbers]))
                if self.random.random() < 0.03:
                    self.figures.cancelled += 1
                    streams[1].close()
                    streams = None
                    continue
                status, values = await _response(streams[0])
            except OSError:
                streams = None
                self.figures.lost += sent < self.stopped - _ACCEPTED_SECONDS
                await asyncio.sleep(0.1)
                continue
            if status != 200:
                self.figures.refused += 1
                continue
            found = values["predictions"]
            self.figures.answers += len(numbers)
            self.figures.wrong += len(found) != len(numbers) or not all(
                _alike(one, self.expected[number])
                for one, number in zip(found, numbers, strict=True)
            )


def _request(texts: list[str]) -> bytes:
    body = json.dumps({"instances": texts}).encode()
    head = "POST /v1/models/m:predict HTTP/1.1\r\nHost: localhost\r\n"
    head += f"Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def _response(reader: asyncio.StreamReader) -> tuple[int, dict]:
    line = await reader.readline()
    if not line:
        raise ConnectionResetError("no answer")
    length = 0
    while (header := await reader.readline()) not in (b"\r\n", b""):
        if header.lower().startswith(b"content-length:"):
            length = int(header.split(b":")[1])
    try:
        values = json.loads(await reader.readexactly(length))
    except asyncio.IncompleteReadError as error:
        raise ConnectionResetError("half an answer") from error
    return int(line.split()[1]), values


def _alike(found: dict, expected: dict) -> bool:
    return found["label"] == expected["label"] and abs(found["score"] - expected["score"]) < 1e-4


def memory_of(pid: int) -> int:
    """Resident bytes of a process, on Linux."""
    pages = pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--answers", type=int, default=100_000)
    parser.add_argument("--restarts", type=int, default=3)
    parser.add_argument("--versions", type=int, default=10)
    args = parser.parse_args()
    from kbert import build_encoder
    from kbert.tasks.classification import ClassificationTask
    from tests.serving.conftest import CONFIG, LABELS, exported

    with tempfile.TemporaryDirectory() as folder:
        task = ClassificationTask(labels=LABELS, sequence_length=16)
        path = pathlib.Path(folder)
        exported(path / "export", task.build_model(build_encoder(CONFIG)), task)
        (path / "served").mkdir()
        began = time.monotonic()
        sizes = args.answers, args.restarts, args.versions
        campaign = Campaign(path / "export" / "1", path / "served", *sizes)
        found = asyncio.run(campaign.run())
    print(f"{found.answers} answers in {time.monotonic() - began:.0f} s", dataclasses.asdict(found))
    behind = args.answers // 5
    print(f"memory: {10_000 * found.slope(behind) / 2**20:.2f} MB per 10,000 answers")


if __name__ == "__main__":
    main()
