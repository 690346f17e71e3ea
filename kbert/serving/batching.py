"""Requests of all connections in one queue, computed in batches of tokens by one thread.

    connections -> queue -> tokenize -> batches of like length -> decode -> answers

A batch begins with the oldest text and is filled with those whose length is nearest, until its
padded tokens (rows x longest) reach the budget. While the model computes, more texts arrive, so
batches grow with the load by themselves.
"""

import asyncio
import collections
import concurrent.futures
import dataclasses
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from kbert.inference.answerer import Answerer
from kbert.inference.forward import forward_of
from kbert.tasks.features import Feature, pad_batch

# Bounds on what one call to the tokenizer and the decoder takes, so that a large request does not
# keep the others waiting.
_ENCODED_AT_ONCE = 256


class Overloaded(Exception):
    """The queue is full. `retry_after_seconds` is when it may have room."""

    retry_after_seconds = 1


class DeadlineExceeded(Exception):
    """A request was not answered within its time."""


class Answers(NamedTuple):
    """The answers to a request's examples, in order; texts that lost their end, tokens, times."""

    answers: list[dict]
    cut: int
    tokens: int
    queue_seconds: float
    inference_seconds: float


@dataclasses.dataclass(eq=False)
class _Request:
    answerer: Answerer
    examples: Sequence[Any]
    future: concurrent.futures.Future
    arrived: float
    started: float = 0.0
    encoded: int = 0  # examples that are tokenized
    left: int = 0  # features that are not computed
    # Of each example: its features, and the model's outputs for them.
    features: list[list[Feature]] = dataclasses.field(default_factory=list)
    outputs: list[list[dict | None]] = dataclasses.field(default_factory=list)


class _Waiting(NamedTuple):
    """One feature that waits for a batch: of which request and example, and its number there."""

    request: _Request
    example: int
    number: int
    feature: Feature


class Batcher:
    """Answers examples from many connections; one thread computes.

    Args:
        max_batch_tokens: padded tokens of a batch; a longer row is a batch of its own.
        max_delay_seconds: how long a batch that is not full waits for more.
        max_queued_texts: examples that may wait; more are refused.
        on_batch: told the rows and the padded tokens of each batch.
    """

    def __init__(
        self,
        max_batch_tokens: int = 4096,
        max_delay_seconds: float = 0.0,
        max_queued_texts: int = 4096,
        on_batch: Callable[[int, int], None] | None = None,
    ):
        self.max_batch_tokens = max_batch_tokens
        self.max_delay_seconds = max_delay_seconds
        self.max_queued_texts = max_queued_texts
        self._on_batch = on_batch or (lambda rows, tokens: None)
        self._arrived: collections.deque[_Request] = collections.deque()
        self._waiting: list[_Waiting] = []
        self._queued_texts = 0
        self._changed = threading.Condition()
        self._closed = False
        self._decoder = concurrent.futures.ThreadPoolExecutor(1, "decoder")
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    async def answer(
        self, answerer: Answerer, examples: Sequence[Any], timeout_seconds: float | None = None
    ) -> Answers:
        """The answers of `answerer`, in order.

        A caller that is cancelled (its client went away) leaves the queue. Raises `Overloaded` at
        once where the queue is full, `DeadlineExceeded` after `timeout_seconds`.
        """
        future: concurrent.futures.Future = concurrent.futures.Future()
        if not examples:
            return Answers([], 0, 0, 0.0, 0.0)
        self._put(_Request(answerer, examples, future, time.monotonic()))
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), timeout_seconds)
        except TimeoutError as error:
            raise DeadlineExceeded from error
        finally:
            future.cancel()

    @property
    def queued_texts(self) -> int:
        """How many examples wait or are computed."""
        return self._queued_texts

    def close(self) -> None:
        """Answer what is held, then stop the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()
        self._decoder.shutdown()

    def _put(self, request: _Request) -> None:
        with self._changed:
            # A request that is larger than the queue is taken by an empty one.
            room = self.max_queued_texts - self._queued_texts
            if self._closed or (self._queued_texts and len(request.examples) > room):
                raise Overloaded
            self._queued_texts += len(request.examples)
            request.future.add_done_callback(lambda _: self._leave(request))
            self._arrived.append(request)
            self._changed.notify()

    def _leave(self, request: _Request) -> None:
        with self._changed:
            self._queued_texts -= len(request.examples)

    def _run(self) -> None:
        while self._wait():
            arrived = self._take_arrived()
            if arrived:
                self._guarded(self._encode, arrived, [request for request, _, _ in arrived])
            batch = self._next_batch()
            if batch:
                self._guarded(self._compute, batch, [waiting.request for waiting in batch])

    def _guarded(self, step: Callable, work: list, requests: list[_Request]) -> None:
        """A fault ends the requests that it concerns, not the thread."""
        try:
            step(work)
        except Exception as error:
            for request in requests:
                _settle(request.future, error=error)

    def _wait(self) -> bool:
        """Return when there is something to compute; False when there is no more."""
        with self._changed:
            while not (self._arrived or self._waiting or self._closed):
                self._changed.wait()
            oldest = self._waiting[0].request if self._waiting else None
            oldest = oldest or (self._arrived[0] if self._arrived else None)
            if oldest is None:
                return False
            patience = oldest.arrived + self.max_delay_seconds - time.monotonic()
            if patience > 0 and not self._closed and not self._is_full():
                self._changed.wait(patience)
            return True

    def _is_full(self) -> bool:
        return sum(_tokens(w.feature) for w in self._waiting) >= self.max_batch_tokens

    def _take_arrived(self) -> list[tuple[_Request, int, int]]:
        """Which examples to tokenize next, oldest first, those of one model together.

        Each is a request with the first of its examples and the one behind the last.
        """
        with self._changed:
            taken, count = [], 0
            while self._arrived and count < _ENCODED_AT_ONCE:
                request = self._arrived[0]
                if taken and request.answerer is not taken[0][0].answerer:
                    break
                stop = min(len(request.examples), request.encoded + _ENCODED_AT_ONCE - count)
                if not request.future.done():
                    taken.append((request, request.encoded, stop))
                    count += stop - request.encoded
                request.encoded = stop
                if stop == len(request.examples) or request.future.done():
                    self._arrived.popleft()
            return taken

    def _encode(self, taken: list[tuple[_Request, int, int]]) -> None:
        answerer = taken[0][0].answerer
        examples = [e for request, start, stop in taken for e in request.examples[start:stop]]
        owners = [(request, n) for request, start, stop in taken for n in range(start, stop)]
        for request, start, stop in taken:
            request.started = request.started or time.monotonic()
            request.features += [[] for _ in range(start, stop)]
            request.outputs += [[] for _ in range(start, stop)]
        for feature in answerer.task.encode(examples, answerer.tokenizer):
            request, example = owners[feature.example]
            number = len(request.features[example])
            request.features[example].append(feature)
            request.outputs[example].append(None)
            request.left += 1
            self._waiting.append(_Waiting(request, example, number, feature))
        for request, _, _ in taken:
            self._decode_if_done(request)

    def _next_batch(self) -> list[_Waiting]:
        """The oldest feature and those nearest in length, within the budget of tokens."""
        self._waiting = [w for w in self._waiting if not w.request.future.done()]
        if not self._waiting:
            return []
        first = self._waiting[0]
        alike = [w for w in self._waiting if w.request.answerer is first.request.answerer]
        alike.sort(key=lambda w: abs(w.feature.length - first.feature.length))
        batch, longest, rows = [], 0, 0
        for waiting in alike:
            longest = max(longest, waiting.feature.length)
            rows += _tokens(waiting.feature) // max(waiting.feature.length, 1)
            if batch and longest * rows > self.max_batch_tokens:
                break
            batch.append(waiting)
        chosen = set(map(id, batch))
        self._waiting = [w for w in self._waiting if id(w) not in chosen]
        return batch

    def _compute(self, batch: list[_Waiting]) -> None:
        features = [waiting.feature for waiting in batch]
        longest = max(feature.length for feature in features)
        inputs, _, _ = pad_batch(features, longest, len(features))
        outputs = forward_of(batch[0].request.answerer.model).run(inputs)
        self._on_batch(len(features), int(inputs["token_ids"].size))
        for row, waiting in enumerate(batch):
            request = waiting.request
            found = {name: values[row] for name, values in outputs.items()}
            request.outputs[waiting.example][waiting.number] = found
            request.left -= 1
            self._decode_if_done(request)

    def _decode_if_done(self, request: _Request) -> None:
        # Beside the model: decoding is Python, and TensorFlow computes without Python's lock.
        if request.left == 0 and request.encoded == len(request.examples):
            self._decoder.submit(self._decode, request)

    def _decode(self, request: _Request) -> None:
        try:
            parts = zip(request.outputs, request.examples, request.features, strict=True)
            answers = [request.answerer.task.decode(*part) for part in parts]
        except Exception as error:
            _settle(request.future, error=error)
            return
        features = [feature for found in request.features for feature in found]
        cut, tokens = sum(f.cut for f in features), sum(f.length for f in features)
        times = request.started - request.arrived, time.monotonic() - request.started
        _settle(request.future, Answers(answers, cut, tokens, *times))


def _settle(future: concurrent.futures.Future, result=None, error: Exception | None = None) -> None:
    """Answer a future, unless its caller has gone."""
    try:
        future.set_result(result) if error is None else future.set_exception(error)
    except concurrent.futures.InvalidStateError:
        pass


def _tokens(feature: Feature) -> int:
    return int(feature.inputs["token_ids"].size)
