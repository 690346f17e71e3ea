"""Batches of encoded examples: padding, weights, and the order of an epoch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbert.finetuning.batches import TrainingBatches, padded_length, plan_epoch
from kbert.inference.batches import bucket_length, plan_by_length
from kbert.tasks.features import Feature, pad_batch


def feature(tokens, label=0, weight=1.0, example=0):
    return Feature(
        {"token_ids": np.asarray(tokens, "int32")},
        example,
        {"label": np.asarray(label, "int32")},
        {"label": np.asarray(weight, "float32")},
    )


def test_a_batch_by_hand():
    inputs, targets, weights = pad_batch([feature([5, 6]), feature([7], 1, 3.0)], 4, 3)
    assert inputs["token_ids"].tolist() == [[5, 6, 0, 0], [7, 0, 0, 0], [0, 0, 0, 0]]
    assert inputs["token_ids"].dtype == "int32"
    assert targets["label"].tolist() == [0, 1, 0]
    assert weights["label"].tolist() == [0.25, 0.75, 0]


def test_choices_and_targets_of_tokens_are_padded():
    """What tagging and multiple choice hand over: a target a token, and a row a choice."""
    tagged = [
        Feature(
            {"token_ids": np.ones(n, "int32")},
            0,
            {"tags": np.full(n, 7, "int32")},
            {"tags": np.ones(n, "float32")},
        )
        for n in (1, 3)
    ]
    _, targets, weights = pad_batch(tagged, 4, 2, {"tags"})
    assert targets["tags"].tolist() == [[7, 0, 0, 0], [7, 7, 7, 0]]
    assert weights["tags"].tolist() == [[0.25, 0, 0, 0], [0.25, 0.25, 0.25, 0]]
    choices = [feature(np.ones((n, n))) for n in (2, 3)]
    assert pad_batch(choices, 8, 2)[0]["token_ids"].shape == (2, 3, 8)


def test_a_batch_without_anything_to_count_has_weight_zero():
    assert pad_batch([feature([1], weight=0.0)], 1, 1)[2]["label"].tolist() == [0]


@pytest.mark.parametrize(("length", "limit", "padded"), [(1, 64, 8), (16, 64, 16), (60, 50, 50)])
def test_padded_length(length, limit, padded):
    assert padded_length(length, limit) == padded


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=400),
    st.integers(1, 9),
    st.integers(0, 3),
    st.integers(0, 3),
)
def test_every_feature_once_an_epoch(lengths, batch_size, seed, epoch):
    plan = plan_epoch(lengths, batch_size, seed, epoch)
    assert sorted(np.concatenate(plan)) == list(range(len(lengths)))
    assert len(plan) == -(-len(lengths) // batch_size)
    assert sum(len(batch) < batch_size for batch in plan) <= 1
    again = plan_epoch(lengths, batch_size, seed, epoch)
    assert all(np.array_equal(a, b) for a, b in zip(plan, again, strict=True))


def test_order_differs_by_epoch_and_by_seed():
    plans = [plan_epoch([1] * 64, 64, seed, epoch)[0].tolist() for seed, epoch in ((0, 0), (0, 1))]
    plans.append(plan_epoch([1] * 64, 64, 1, 0)[0].tolist())
    assert len(set(map(tuple, plans))) == 3


def test_sorting_by_length_saves_most_of_the_padding():
    lengths = np.random.default_rng(0).integers(5, 128, 3000)
    computed = sum(
        len(batch) * padded_length(max(lengths[batch]), 128)
        for batch in plan_epoch(lengths, 32, seed=0, epoch=0)
    )
    # Unsorted, nearly every batch of 32 is 128 long: 1.9 times the tokens there are.
    assert computed < 1.2 * lengths.sum()


def test_training_batches_by_number():
    features = [feature([i + 1] * (1 + i % 3), label=i % 2) for i in range(7)]
    batches = TrainingBatches(features, batch_size=3, seed=5, limit=16)
    assert len(batches) == 3
    for epoch in range(2):
        ids = np.concatenate([batches(epoch * 3 + i)[0]["token_ids"][:, 0] for i in range(3)])
        assert sorted(ids[ids > 0]) == [1, 2, 3, 4, 5, 6, 7]
        assert ids.shape == (9,)
    drawn = batches(5)[0]["token_ids"]
    batches(0)
    assert np.array_equal(batches(5)[0]["token_ids"], drawn)


@given(st.lists(st.integers(1, 60), max_size=40), st.integers(1, 7), st.integers(60, 200))
def test_a_plan_by_length_holds_each_feature_once_longest_first(lengths, batch_size, most_tokens):
    def rows_at(length):
        return min(batch_size, most_tokens // length)

    batches = plan_by_length(lengths, rows_at)
    order = [number for batch in batches for number in batch]
    assert sorted(order) == list(range(len(lengths)))
    assert [lengths[number] for number in order] == sorted(lengths, reverse=True)
    for batch in batches[:-1]:
        assert len(batch) == rows_at(lengths[batch[0]])


def test_buckets_are_few():
    buckets = [bucket_length(length, limit=512) for length in range(1, 513)]
    assert sorted(set(buckets)) == [8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512]
    assert all(bucket >= length for length, bucket in enumerate(buckets, start=1))
    assert bucket_length(350, limit=380) == 380
