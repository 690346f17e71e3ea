"""What all dialects share: a request's body, its limits, its answers, and what can go wrong."""

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from kbert.errors import DataError
from kbert.files import DEEPEST, JSON_ERRORS, depth_exceeds
from kbert.inference.answerer import Answerer
from kbert.serving.batching import Answers, Batcher, DeadlineExceeded, Overloaded
from kbert.serving.http.metrics import Metrics
from kbert.serving.models import Models, UnknownModel
from kbert.serving.settings import ServerSettings

if TYPE_CHECKING:
    from kbert.serving.served import Served

# Of a body that takes Python longer than this to read, other requests should not wait.
_LARGE_BYTES = 2**16
# Of a body: reading so many values takes a tenth of a second. As many commas stand in 20 MB of
# English.
_MOST_VALUES = 2**18
_VERSION = re.compile("[0-9]{1,18}")
_Result = TypeVar("_Result")


class RequestError(Exception):
    """A request that gets no answer but a status and a sentence."""

    def __init__(self, status: int, sentence: str, **headers: str):
        super().__init__(sentence)
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def queue_is_full() -> RequestError:
    """What a request gets for which there is no room."""
    seconds = str(Overloaded.retry_after_seconds)
    return RequestError(503, "Too many texts are waiting.", Retry_After=seconds)


class Gone(Exception):
    """The client went away: nobody reads an answer."""


class Answering:
    """Reads requests, checks limits, and answers instances through the batcher."""

    def __init__(self, models: Models, settings: ServerSettings):
        self.models = models
        self.settings = settings
        self.metrics = Metrics(lambda: self.batcher.queued_texts)
        self.batcher = Batcher(
            settings.max_batch_tokens,
            settings.max_delay_ms / 1000,
            settings.max_queued_texts,
            settings.batches_at_once or 1,
            on_batch=self.metrics.count_batch,
        )

    def model(self, name: str, version: str | None = None) -> "Served":
        """Raises `RequestError` (404) for a model that is not served."""
        if version is not None and not _VERSION.fullmatch(version):
            raise RequestError(404, f"A version is a number. Received: {version[:40]}.")
        try:
            return self.models.get(name, None if version is None else int(version))
        except UnknownModel as error:
            raise RequestError(404, str(error)) from error

    async def read_object(self, request: Request) -> dict:
        """The JSON object in a request's body. Raises `RequestError` for any other."""
        body = await self._read(request)
        if len(body) < _LARGE_BYTES:
            return _parse(body)
        if sum(map(body.count, (b",", b"[", b"{"))) > _MOST_VALUES:
            raise RequestError(413, f"Expected at most {_MOST_VALUES} values.")
        return await asyncio.to_thread(_parse, body)

    async def answer(
        self, request: Request, answerer: Answerer, instances: Sequence[Any]
    ) -> Answers:
        """The answers to instances, in order.

        Raises `RequestError` for what is over a limit or no instance, `Gone` if the client left.
        """
        self.check_number(instances)
        characters = [self._characters(found, number) for number, found in enumerate(instances)]
        try:
            parse = answerer.task.parse
            examples = [parse(found, f"Instance {n}") for n, found in enumerate(instances)]
        except DataError as error:
            raise RequestError(400, str(error)) from error
        timeout = self.settings.timeout_seconds
        left = max(0.0, request.state.deadline - time.monotonic())  # Behind the body.
        try:
            answers = await _unless_gone(
                request, self.batcher.answer(answerer, examples, left, characters)
            )
        except Overloaded as error:
            raise queue_is_full() from error
        except DeadlineExceeded as error:
            raise RequestError(504, f"There was no answer within {timeout:g} s.") from error
        self.metrics.count_answers(answers, len(examples))
        return answers

    async def _read(self, request: Request) -> bytes:
        """The body, within its limits of size and time."""
        most, body = self.settings.max_body_bytes, bytearray()
        request.state.deadline = time.monotonic() + self.settings.timeout_seconds
        declared = request.headers.get("content-length", "0")
        too_large = RequestError(413, f"Expected at most {most} bytes.", Connection="close")
        if declared.isdecimal() and int(declared) > most:
            raise too_large
        try:
            async with asyncio.timeout(self.settings.timeout_seconds):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > most:
                        raise too_large
        except ClientDisconnect as error:
            raise Gone from error
        except TimeoutError as error:
            raise RequestError(408, "The body came too slowly.", Connection="close") from error
        return bytes(body)

    def check_number(self, instances: Sequence[Any]) -> None:
        """Raise `RequestError` for more instances than one request may have."""
        most = self.settings.max_instances
        if len(instances) > most:
            raise RequestError(
                413, f"Expected at most {most} instances. Received: {len(instances)}."
            )

    def _characters(self, instance: Any, number: int) -> int:
        """In all texts of an instance. Raises `RequestError` for a text of too many."""
        most, characters = self.settings.max_characters, 0
        for text in _texts(instance):
            characters += len(text)
            if len(text) > most:
                raise RequestError(
                    413,
                    f"Instance {number}: expected at most {most} characters a text. "
                    f"Received: {len(text)}.",
                )
        return characters


def time_headers(answers: Answers) -> dict[str, str]:
    """Where a request's time went, in milliseconds."""
    return {
        "X-Queue-Time": f"{1000 * answers.queue_seconds:.2f}",
        "X-Inference-Time": f"{1000 * answers.inference_seconds:.2f}",
    }


async def _unless_gone(request: Request, answer: Awaitable[_Result]) -> _Result:
    """The answer; cancelled, with `Gone`, when the client leaves before it is there."""
    answering = asyncio.ensure_future(answer)
    leaving = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            raise Gone
        return answering.result()
    finally:
        answering.cancel()
        leaving.cancel()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _parse(body: bytes) -> dict:
    """The JSON object in a body. Raises `RequestError` for any other."""
    try:
        # NaN and Infinity are no JSON (RFC 8259), whatever Python makes of them.
        values = json.loads(body, parse_constant=_no_constant)
    except JSON_ERRORS as error:
        raise RequestError(400, f"Expected JSON: {error}.") from error
    if not isinstance(values, dict):
        raise RequestError(400, f"Expected a JSON object. Received: {type(values).__name__}.")
    if depth_exceeds(values, DEEPEST):
        raise RequestError(400, f"Expected JSON of at most {DEEPEST} levels.")
    return values


def _no_constant(name: str):
    raise ValueError(f"{name} is no number of JSON")


def _texts(value: Any):
    """The texts in an instance."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        yield from (item for item in value if isinstance(item, str))
