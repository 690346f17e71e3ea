"""Batches of training: padding, and the order of an epoch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbert.finetuning.batches import TrainingBatches, padded_length, plan_epoch
from kbert.tasks.features import Feature


def feature(tokens, label):
    return Feature(
        {"token_ids": np.asarray(tokens, "int32")},
        0,
        {"label": np.asarray(label, "int32")},
        {"label": np.asarray(1.0, "float32")},
    )


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
    features = [feature([i + 1] * (1 + i % 3), i % 2) for i in range(7)]
    batches = TrainingBatches(features, batch_size=3, seed=5, limit=16)
    assert len(batches) == 3
    for epoch in range(2):
        ids = np.concatenate([batches(epoch * 3 + i)[0]["token_ids"][:, 0] for i in range(3)])
        assert sorted(ids[ids > 0]) == [1, 2, 3, 4, 5, 6, 7]
        assert ids.shape == (9,)
    drawn = batches(5)[0]["token_ids"]
    batches(0)
    assert np.array_equal(batches(5)[0]["token_ids"], drawn)
