"""Batches by length."""

from hypothesis import given
from hypothesis import strategies as st

from kbert.inference.batches import bucket_length, plan_by_length


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
