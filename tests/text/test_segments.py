import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbert.text.segments import pack_segments, pad_rows, truncated_lengths

CLS, SEP = 101, 102


def pop_from_the_longer(first: int, second: int, budget: int) -> tuple[int, int]:
    """BERT's rule as it is usually written."""
    while first + second > budget:
        if first > second:
            first -= 1
        else:
            second -= 1
    return first, second


def test_truncated_lengths_equal_the_loop():
    lengths = np.arange(12)
    first, second = (array.ravel() for array in np.meshgrid(lengths, lengths))
    for budget in range(24):
        kept = truncated_lengths(first, second, budget)
        expected = [pop_from_the_longer(a, b, budget) for a, b in zip(first, second, strict=True)]
        np.testing.assert_array_equal(np.transpose(kept), expected)


def test_single_text():
    token_ids, segment_ids = pack_segments([7, 8, 9], None, 4, CLS, SEP)
    assert token_ids.tolist() == [CLS, 7, 8, SEP]
    assert segment_ids.tolist() == [0, 0, 0, 0]
    assert token_ids.dtype == segment_ids.dtype == np.int32


def test_pair():
    token_ids, segment_ids = pack_segments([1, 2, 3, 4], np.array([5, 6]), 8, CLS, SEP)
    assert token_ids.tolist() == [CLS, 1, 2, 3, SEP, 5, 6, SEP]
    assert segment_ids.tolist() == [0, 0, 0, 0, 0, 1, 1, 1]


@given(st.integers(0, 40), st.integers(0, 40), st.integers(3, 60))
def test_a_pair_fills_the_row_or_is_whole(first, second, sequence_length):
    token_ids, segment_ids = pack_segments([1] * first, [2] * second, sequence_length, CLS, SEP)
    assert len(token_ids) == len(segment_ids) == min(first + second + 3, sequence_length)
    assert segment_ids.sum() == (token_ids == 2).sum() + 1


def test_rows_too_short_for_special_tokens():
    with pytest.raises(ValueError, match="at least 3 for pairs.*sequence_length=2"):
        pack_segments([1], [2], 2, CLS, SEP)
    with pytest.raises(ValueError, match="at least 2 for single texts"):
        pack_segments([1], None, 1, CLS, SEP)


def test_pad_rows():
    padded = pad_rows([np.array([1, 2]), np.array([], np.int32)], 3, padding=9)
    assert padded.tolist() == [[1, 2, 9], [9, 9, 9]]
    assert padded.dtype == np.int32
