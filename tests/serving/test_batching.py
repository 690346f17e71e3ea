"""The queue: answers of many callers, batches within their budget, who leaves, what is full."""

import asyncio
import threading
import time

import numpy as np
import pytest

from kbert.inference.answerer import Answerer
from kbert.inference.forward import Forward
from kbert.serving.batching import Batcher, DeadlineExceeded, Overloaded, rounded_up
from kbert.tasks.base import Task
from kbert.tasks.features import Feature, single_segment


class Task:
    """A text of n characters has n tokens; "ab|c" has two features. The answer is their sum."""

    sequence_length = 512

    def encode(self, examples, tokenizer):
        return [
            Feature(single_segment([ord(c) for c in part]), number, {}, {})
            for number, text in enumerate(examples)
            for part in text.split("|")
            if part
        ]

    decode_all = Task.decode_all

    def decode(self, outputs, example, features):
        return {"text": example, "sum": int(sum(output["sum"] for output in outputs))}


class Model:
    """Sums tokens; `gate` holds it up, `batches` are their shapes and tokens."""

    def __init__(self):
        self.batches, self.gate, self.broken = [], threading.Event(), False
        self.gate.set()

    def __call__(self, inputs):
        self.gate.wait()
        tokens = int((inputs["padding_mask"] > 0).sum())
        self.batches.append((*inputs["token_ids"].shape, tokens))
        if self.broken:
            raise RuntimeError("broken")
        seen = inputs["token_ids"] * (inputs["padding_mask"] > 0)
        return {"sum": seen.reshape(len(seen), -1).sum(axis=1)}


@pytest.fixture
def model():
    return Model()


@pytest.fixture
def answerer(model):
    return Answerer(Task(), None, Forward(model))


def expected(text):
    return {"text": text, "sum": sum(map(ord, text.replace("|", "")))}


@pytest.mark.parametrize("threads", [1, 3])
def test_everyone_gets_their_own_answers(answerer, model, threads):
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("abc|"), rng.integers(1, 40))) for _ in range(400)]
    requests = [texts[i : i + int(n)] for i, n in enumerate(rng.integers(0, 7, 390))]
    batches = []
    batcher = Batcher(
        max_batch_tokens=128, threads=threads, on_batch=lambda *batch: batches.append(batch)
    )

    async def all_at_once():
        return await asyncio.gather(*(batcher.answer(answerer, some) for some in requests))

    found = asyncio.run(all_at_once())
    batcher.close()
    for some, answers in zip(requests, found, strict=True):
        assert answers.answers == [expected(text) for text in some]
    assert batcher.queued_texts == 0
    # Many callers share a batch, and none is above the budget unless it is a single row.
    assert all(rows * length <= 128 or rows == 1 for rows, length, _ in model.batches)
    assert len(model.batches) < len(requests) / 2
    assert sorted(tokens for _, tokens in batches) == sorted(r * n for r, n, _ in model.batches)
    # Little of a batch is padding: texts of other lengths get another batch.
    assert all(rows * length <= 1.1 * tokens + 32 for rows, length, tokens in model.batches)


def test_batches_are_of_few_shapes(answerer, model):
    """Whatever comes, so that kernels and memory for a shape are not made without an end."""
    sizes = {rounded_up(size) for size in range(1, 513)}
    assert len(sizes) == 16 + 5 * 8
    assert all(size <= rounded_up(size) <= size * 9 / 8 for size in range(1, 5000))
    assert all(rounded_up(size) == size for size in sizes)
    rng = np.random.default_rng(0)
    batcher = Batcher(max_batch_tokens=8192)

    async def crowds():
        for _ in range(60):
            lengths = rng.integers(1, 513, rng.integers(1, 40))
            await asyncio.gather(*(batcher.answer(answerer, ["a" * n]) for n in lengths))

    asyncio.run(crowds())
    batcher.close()
    assert {rows for rows, _, _ in model.batches} <= sizes
    assert {length for _, length, _ in model.batches} <= sizes
    assert all(rows * length <= 8192 or rows == 1 for rows, length, _ in model.batches)


def test_a_batch_is_no_longer_than_the_model_takes(answerer, model):
    answerer.task.sequence_length = 17
    batcher = Batcher()
    asyncio.run(batcher.answer(answerer, ["a" * 17]))
    batcher.close()
    assert model.batches == [(1, 17, 17)]


class Choices(Task):
    """A text of n parts is one feature of n rows, as of n choices."""

    def encode(self, examples, tokenizer):
        rows = [[single_segment([ord(c) for c in part]) for part in x.split("|")] for x in examples]
        return [
            Feature({name: np.stack([row[name] for row in own]) for name in own[0]}, n, {}, {})
            for n, own in enumerate(rows)
        ]


def test_choices_of_one_number_share_a_batch(model):
    """Rows are filled up to the widest: 16 rows beside 2 would be 14 of padding."""
    answerer, batcher = Answerer(Choices(), None, Forward(model)), Batcher(max_batch_tokens=64)
    texts = ["|".join("ab"), "|".join("abcdefghijklmnop"), *["|".join("cd")] * 6]
    asyncio.run(batcher.answer(answerer, texts))
    batcher.close()
    assert {width for _, width, _, _ in model.batches} == {2, 16}
    assert all(np.prod(shape) <= 64 for *shape, _ in model.batches)


def test_threads_compute_at_once(model):
    both = threading.Barrier(2, timeout=20)  # Broken, and the answers errors, if one waits alone.
    batcher = Batcher(threads=2)

    def meet(inputs):
        both.wait()
        return model(inputs)

    meeting = Answerer(Task(), None, Forward(meet))

    async def two():
        return await asyncio.gather(*(batcher.answer(meeting, [text]) for text in "ab"))

    found = asyncio.run(two())
    batcher.close()
    assert [answers.answers for answers in found] == [[expected("a")], [expected("b")]]


def test_an_example_without_features_is_answered(answerer):
    batcher = Batcher()
    found = asyncio.run(batcher.answer(answerer, ["", "a"]))
    assert [answer["sum"] for answer in found.answers] == [0, ord("a")]
    assert asyncio.run(batcher.answer(answerer, [])).answers == []
    batcher.close()


def test_a_full_queue_refuses_at_once(answerer, model):
    batcher = Batcher(max_queued_texts=3)
    model.gate.clear()

    async def crowd():
        first = asyncio.ensure_future(batcher.answer(answerer, ["a"] * 3))
        await asyncio.sleep(0.05)
        began = time.monotonic()
        with pytest.raises(Overloaded):
            await batcher.answer(answerer, ["b"])
        assert time.monotonic() - began < 0.05
        model.gate.set()
        await first
        # A request that is larger than the queue is taken by an empty one.
        return await batcher.answer(answerer, ["c"] * 5)

    assert len(asyncio.run(crowd()).answers) == 5
    batcher.close()


def test_who_leaves_is_not_computed_for(answerer, model):
    batcher = Batcher(max_batch_tokens=1)
    model.gate.clear()

    async def leave():
        stays = asyncio.ensure_future(batcher.answer(answerer, ["a"]))
        await asyncio.sleep(0.05)
        leaves = asyncio.ensure_future(batcher.answer(answerer, ["b"] * 50))
        late = asyncio.ensure_future(batcher.answer(answerer, ["c"] * 50, timeout_seconds=0.1))
        await asyncio.sleep(0.05)
        leaves.cancel()
        with pytest.raises(DeadlineExceeded):
            await late
        model.gate.set()
        await stays
        return await batcher.answer(answerer, ["d"])

    assert asyncio.run(leave()).answers == [expected("d")]
    batcher.close()
    assert len(model.batches) < 10 and batcher.queued_texts == 0


def test_a_fault_ends_its_request_alone(answerer, model):
    batcher = Batcher()
    model.broken = True
    with pytest.raises(RuntimeError, match="broken"):
        asyncio.run(batcher.answer(answerer, ["a"]))
    model.broken = False
    assert asyncio.run(batcher.answer(answerer, ["b"])).answers == [expected("b")]
    batcher.close()


def test_closing_answers_what_is_held(answerer, model):
    batcher = Batcher()
    model.gate.clear()

    async def close():
        held = asyncio.ensure_future(batcher.answer(answerer, ["a"] * 20))
        await asyncio.sleep(0.05)
        threading.Timer(0.05, model.gate.set).start()
        await asyncio.to_thread(batcher.close)
        with pytest.raises(Overloaded):
            await batcher.answer(answerer, ["b"])
        return await held

    assert len(asyncio.run(close()).answers) == 20


def test_a_batch_waits_for_more(answerer, model):
    batcher = Batcher(max_delay_seconds=0.2)

    async def two():
        one = asyncio.ensure_future(batcher.answer(answerer, ["a"]))
        await asyncio.sleep(0.02)
        return await asyncio.gather(one, batcher.answer(answerer, ["b"]))

    asyncio.run(two())
    batcher.close()
    assert model.batches == [(2, 1, 2)]
