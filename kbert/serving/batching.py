"""Requests of all connections in one queue, computed in batches of tokens by a few threads.

    connections -> queue -> tokenize -> batches of like length -> decode -> answers

A batch begins with the oldest text and is filled with those whose length is nearest, until its
padded tokens (rows x longest) reach the budget. While the model computes, more texts arrive, so
batches grow with the load by themselves. A thread does every step of its batch, so that a text that
comes alone is handed over twice only: from its connection, and back.

Rows and lengths of batches are of few sizes: a library of matrix products compiles and keeps a
kernel for each shape that it meets, which takes time and memory.
"""

import asyncio
import collections
import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from kbert.inference.answerer import Answerer
from kbert.inference.forward import forward_of
from kbert.tasks.features import Feature, pad_batch

# Padding of a batch: a tenth of its tokens, and for small ones what another batch would cost.
_PADDING_SHARE, _PADDING_TOKENS = 0.1, 32
# Sizes between a power of two and the next: at most an eighth is padding.
_SIZES_AN_OCTAVE = 8
# What one call to the tokenizer takes, so that a large request does not keep the others waiting:
# thousands of characters; an example counts as one at least.
_ENCODED_AT_ONCE = 64


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
    characters: Sequence[int]  # In each example.
    future: asyncio.Future  # Of the loop of the connection; only that may answer it.
    arrived: float
    started: float = 0.0
    has_left: bool = False  # It is answered, or its client went away.
    taken: int = 0  # examples that are tokenized, or being tokenized
    encoding: int = 0  # examples that are not tokenized
    left: int = 0  # features that are not computed
    # Of each example: its features, and the model's outputs for them.
    features: list[list[Feature]] = dataclasses.field(default_factory=list)
    outputs: list[list[dict | None]] = dataclasses.field(default_factory=list)

    def __post_init__(self):
        self.encoding = len(self.examples)
        self.features = [[] for _ in self.examples]
        self.outputs = [[] for _ in self.examples]


class _Waiting(NamedTuple):
    """One feature that waits for a batch: of which request and example, and its number there."""

    request: _Request
    example: int
    number: int
    feature: Feature


class _Part(NamedTuple):
    """Examples of a request that are tokenized together: the first, and the one behind the last."""

    request: _Request
    start: int
    stop: int


class Batcher:
    """Answers examples from many connections.

    Args:
        max_batch_tokens: padded tokens of a batch; a longer row is a batch of its own.
        max_delay_seconds: how long a batch that is not full waits for more.
        max_queued_texts: examples that may wait; more are refused.
        threads: batches that are computed at once.
        on_batch: told the rows and the padded tokens of each batch.
    """

    def __init__(
        self,
        max_batch_tokens: int = 4096,
        max_delay_seconds: float = 0.0,
        max_queued_texts: int = 4096,
        threads: int = 1,
        on_batch: Callable[[int, int], None] | None = None,
    ):
        self.max_batch_tokens = max_batch_tokens
        self.max_delay_seconds = max_delay_seconds
        self.max_queued_texts = max_queued_texts
        self._on_batch = on_batch or (lambda rows, tokens: None)
        self._arrived: collections.deque[_Request] = collections.deque()
        self._waiting: list[_Waiting] = []
        self._queued_texts = 0
        self._idle = 0
        # Of all that is above, and of what requests say about themselves.
        self._changed = threading.Condition(threading.Lock())
        self._closed = False
        self._threads = [
            threading.Thread(target=self._run, name=f"model {number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    async def answer(
        self,
        answerer: Answerer,
        examples: Sequence[Any],
        timeout_seconds: float | None = None,
        characters: Sequence[int] | None = None,
    ) -> Answers:
        """The answers of `answerer`, in order. `characters` are how many each example has.

        A caller that is cancelled (its client went away) leaves the queue. Raises `Overloaded` at
        once where the queue is full, `DeadlineExceeded` after `timeout_seconds`.
        """
        if not examples:
            return Answers([], 0, 0, 0.0, 0.0)
        future = asyncio.get_running_loop().create_future()
        sizes = [0] * len(examples) if characters is None else characters
        request = _Request(answerer, examples, sizes, future, time.monotonic())
        self._put(request)
        try:
            async with asyncio.timeout(timeout_seconds):
                return await future
        except TimeoutError as error:
            raise DeadlineExceeded from error
        finally:
            self._leave(request)

    @property
    def queued_texts(self) -> int:
        """How many examples wait or are computed."""
        return self._queued_texts

    @property
    def is_full(self) -> bool:
        """Whether every request would be refused."""
        return self._queued_texts >= self.max_queued_texts

    def close(self) -> None:
        """Answer what is held, then stop the threads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _put(self, request: _Request) -> None:
        with self._changed:
            # A request that is larger than the queue is taken by an empty one.
            room = self.max_queued_texts - self._queued_texts
            if self._closed or (self._queued_texts and len(request.examples) > room):
                raise Overloaded
            self._queued_texts += len(request.examples)
            self._arrived.append(request)
            self._changed.notify()

    def _leave(self, request: _Request) -> None:
        with self._changed:
            request.has_left = True
            self._queued_texts -= len(request.examples)

    def _run(self) -> None:
        while work := self._next_work():
            step, items = work
            try:
                finished = step(items)
            except Exception as error:  # It ends the requests that it concerns, not the thread.
                _settle((item.request, error) for item in items)
            else:
                _settle((request, _decoded(request)) for request in finished)

    def _next_work(self) -> tuple[Callable[[list], list[_Request]], list] | None:
        """A step and its items, as soon as there are any; None when there will be no more."""
        with self._changed:
            while True:
                if self._arrived:
                    parts = self._take_arrived()
                    if parts:
                        return self._encode, parts
                    continue
                self._waiting = [w for w in self._waiting if not w.request.has_left]
                patience = self._patience()
                if self._waiting and patience <= 0:
                    return self._compute, self._take_batch()
                if self._closed and not self._waiting:
                    return None
                self._idle += 1
                self._changed.wait(patience if self._waiting else None)
                self._idle -= 1

    def _patience(self) -> float:
        """How many seconds the texts that wait may wait for more."""
        if not self._waiting or self._closed or not self.max_delay_seconds:
            return 0.0
        if sum(_tokens(w.feature) for w in self._waiting) >= self.max_batch_tokens:
            return 0.0
        return self._waiting[0].request.arrived + self.max_delay_seconds - time.monotonic()

    def _take_arrived(self) -> list[_Part]:
        """Which examples to tokenize next, oldest first, those of one model together."""
        taken, room = [], _ENCODED_AT_ONCE
        while self._arrived and room > 0:
            request = self._arrived[0]
            if request.has_left:
                self._arrived.popleft()
                continue
            if taken and request.answerer is not taken[0].request.answerer:
                break
            start = stop = request.taken
            while stop < len(request.examples) and room > 0:
                room -= max(1, request.characters[stop] // 1024)
                stop += 1
            taken.append(_Part(request, start, stop))
            request.started = request.started or time.monotonic()
            request.taken = stop
            if stop == len(request.examples):
                self._arrived.popleft()
        if self._arrived:
            self._changed.notify()
        return taken

    def _encode(self, parts: list[_Part]) -> list[_Request]:
        """Tokenize; the requests that have no feature to compute."""
        answerer = parts[0].request.answerer
        examples = [e for request, start, stop in parts for e in request.examples[start:stop]]
        owners = [(request, n) for request, start, stop in parts for n in range(start, stop)]
        waiting = []
        for feature in answerer.task.encode(examples, answerer.tokenizer):
            request, example = owners[feature.example]
            number = len(request.features[example])
            request.features[example].append(feature)
            request.outputs[example].append(None)
            waiting.append(_Waiting(request, example, number, feature))
        with self._changed:
            self._waiting += waiting
            for found in waiting:
                found.request.left += 1
            for request, start, stop in parts:
                request.encoding -= stop - start
            return [part.request for part in parts if _is_finished(part.request)]

    def _take_batch(self) -> list[_Waiting]:
        """The oldest feature and those nearest in length, within the budget of tokens.

        Threads that have nothing to do get their share. Much padding costs more than a batch.
        """
        share = -(-sum(_tokens(w.feature) for w in self._waiting) // (self._idle + 1))
        budget = min(self.max_batch_tokens, share)
        first = self._waiting[0]
        # Of one width: rows are filled up to the widest.
        alike = [
            waiting
            for waiting in self._waiting
            if waiting.request.answerer is first.request.answerer
            and waiting.feature.width == first.feature.width
        ]
        alike.sort(key=lambda w: abs(w.feature.length - first.feature.length))
        batch, longest, rows, tokens = [], 0, 0, 0
        for waiting in alike:
            longest = max(longest, waiting.feature.length)
            rows += waiting.feature.width
            tokens += _tokens(waiting.feature)
            most = min(budget, (1 + _PADDING_SHARE) * tokens + _PADDING_TOKENS)
            if batch and rounded_up(longest) * rounded_up(rows) > most:
                break
            batch.append(waiting)
        chosen = set(map(id, batch))
        self._waiting = [w for w in self._waiting if id(w) not in chosen]
        if self._waiting:
            self._changed.notify()
        return batch

    def _compute(self, batch: list[_Waiting]) -> list[_Request]:
        """Run the model; the requests whose last feature was among these."""
        features = [waiting.feature for waiting in batch]
        answerer = batch[0].request.answerer
        longest = rounded_up(max(feature.length for feature in features))
        length = min(longest, answerer.task.sequence_length)
        inputs, _, _ = pad_batch(features, length, rounded_up(len(features)))
        outputs = forward_of(answerer.model).run(inputs)
        self._on_batch(len(features), int(inputs["token_ids"].size))
        for row, waiting in enumerate(batch):
            found = {name: values[row] for name, values in outputs.items()}
            waiting.request.outputs[waiting.example][waiting.number] = found
        with self._changed:
            for waiting in batch:
                waiting.request.left -= 1
            # A request has several features here, but is answered once.
            requests = dict.fromkeys(waiting.request for waiting in batch)
            return [request for request in requests if _is_finished(request)]


def rounded_up(size: int) -> int:
    """The next size that a batch's axis may have: each to 16, then 18, 20 ... 32, 36 ..."""
    step = max(1, 2 ** (size.bit_length() - 1) // _SIZES_AN_OCTAVE)
    return -(-size // step) * step


def _is_finished(request: _Request) -> bool:
    return request.left == 0 and request.encoding == 0


def _decoded(request: _Request) -> Answers | Exception:
    try:
        parts = zip(request.outputs, request.examples, request.features, strict=True)
        answers = request.answerer.task.decode_all(list(parts))
    except Exception as error:
        return error
    features = [feature for found in request.features for feature in found]
    cut, tokens = sum(f.cut for f in features), sum(f.length for f in features)
    times = request.started - request.arrived, time.monotonic() - request.started
    return Answers(answers, cut, tokens, *times)


def _settle(outcomes: Iterable[tuple[_Request, Answers | Exception]]) -> None:
    """Answer requests, in the loop of their connections: woken once for all of them."""
    of_loops = collections.defaultdict(list)
    for request, outcome in outcomes:
        of_loops[request.future.get_loop()].append((request.future, outcome))
    for loop, found in of_loops.items():
        with contextlib.suppress(RuntimeError):  # A loop that is closed: nobody waits.
            loop.call_soon_threadsafe(_deliver, found)


def _deliver(outcomes: list[tuple[asyncio.Future, Answers | Exception]]) -> None:
    for future, outcome in outcomes:
        if future.done():  # Its caller has gone.
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)


def _tokens(feature: Feature) -> int:
    return feature.length * feature.width
