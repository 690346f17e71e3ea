"""What benchmarks/serving.py loads a server with: texts over connections that stay open."""

import asyncio
import dataclasses
import json
import random
import time
from collections.abc import Sequence

PORT = 8590
_REFUSED = (429, 503)


@dataclasses.dataclass
class Load:
    """What came back.

    Attributes:
        answered, refused: latencies in seconds, of an open loop from when the request was due.
        ended: when each answer came, in seconds since the beginning.
        wrong: answers with another label than offline.
        seconds: how long it took.
    """

    answered: list[float] = dataclasses.field(default_factory=list)
    refused: list[float] = dataclasses.field(default_factory=list)
    ended: list[float] = dataclasses.field(default_factory=list)
    wrong: int = 0
    seconds: float = 0.0


class Texts:
    """Requests of one text each, and the label that each must get."""

    def __init__(self, texts: Sequence[str], labels: Sequence[str]):
        self.requests = [_request(text) for text in texts]
        self.labels = labels

    async def ask(self, streams: tuple, number: int, due: float, load: Load, began: float) -> None:
        """Send a text over a connection, and note its answer."""
        number %= len(self.requests)
        status, body = await _exchange(streams, self.requests[number])
        now = time.perf_counter()
        if status in _REFUSED:
            load.refused.append(now - due)
            return
        load.answered.append(now - due)
        load.ended.append(now - began)
        found = json.loads(body)
        load.wrong += status != 200 or found["predictions"][0]["label"] != self.labels[number]


async def closed_loop(texts: Texts, connections: int, seconds: float) -> Load:
    """Each connection sends a text, waits for the answer, and sends the next."""
    load, numbers = Load(), iter(range(10**9))
    began = time.perf_counter()

    async def client():
        streams = await _connect()
        while (now := time.perf_counter()) < began + seconds:
            await texts.ask(streams, next(numbers), now, load, began)
        streams[1].close()

    await asyncio.gather(*(client() for _ in range(connections)))
    load.seconds = time.perf_counter() - began
    return load


async def open_loop(texts: Texts, rate: float, seconds: float) -> Load:
    """Texts arrive by chance, `rate` a second, whether or not others are answered."""
    load, idle, rng = Load(), [], random.Random(0)
    began = due = time.perf_counter()

    async def client(number, due):
        streams = idle.pop() if idle else await _connect()
        await texts.ask(streams, number, due, load, began)
        idle.append(streams)

    number = 0
    async with asyncio.TaskGroup() as group:
        while (due := due + rng.expovariate(rate)) < began + seconds:
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            group.create_task(client(number, due))
            number += 1
    load.seconds = time.perf_counter() - began
    for streams in idle:
        streams[1].close()
    return load


async def answers(text: str) -> bool:
    """Whether a server answers already."""
    try:
        streams = await _connect()
        status, _ = await _exchange(streams, _request(text))
    except OSError:
        return False
    streams[1].close()
    return status == 200


async def _connect() -> tuple:
    return await asyncio.open_connection("127.0.0.1", PORT)


def _request(text: str) -> bytes:
    body = json.dumps({"instances": [text]}).encode()
    head = (
        "POST /v1/models/m:predict HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _exchange(streams: tuple, request: bytes) -> tuple[int, bytes]:
    """The status and the body of the answer."""
    reader, writer = streams
    writer.write(request)
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        length = head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0]
        return int(head.split(b" ", 2)[1]), await reader.readexactly(int(length))
    except asyncio.IncompleteReadError as error:
        raise ConnectionResetError("no answer") from error
