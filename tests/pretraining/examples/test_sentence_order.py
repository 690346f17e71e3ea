"""Sentence-order pairs: two texts side by side in one document, half of them swapped."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbert.corpus.store import Split
from kbert.pretraining.examples.sentence_order import SentenceOrderPairs
from tests.small_store import numbered_documents, split_arrays

PAIRS = SentenceOrderPairs()


def draw(lengths, count, seed, max_tokens):
    split = Split(*split_arrays(numbered_documents(lengths)))
    rng = np.random.default_rng(seed)
    places, draws = rng.random(count), rng.random((count, PAIRS.num_draws))
    return split, PAIRS.draw(split, places, draws, max_tokens=max_tokens, short_probability=0.1)


documents = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=4), min_size=1, max_size=5)


@given(lengths=documents, seed=st.integers(0, 2**32), max_tokens=st.integers(2, 30))
def test_labels_are_true(lengths, seed, max_tokens):
    split, pairs = draw(lengths, 40, seed, max_tokens)
    document = np.repeat(np.arange(len(lengths)), [sum(part) for part in lengths])
    for first_start, first_end, second_start, second_end, label in zip(*pairs, strict=True):
        assert 1 <= first_end - first_start
        assert first_end - first_start + second_end - second_start <= max_tokens
        if label < 0:
            # One token cannot be cut.
            assert second_start == second_end and sum(lengths[document[first_start]]) == 1
            continue
        assert second_start < second_end
        assert document[first_start] == document[second_end - 1]
        if label == 0:
            assert first_end <= second_start
        else:
            assert second_end <= first_start


def test_texts_meet_and_half_are_swapped():
    """Where all fits into a row, nothing is missing between them."""
    _, pairs = draw([[3, 4, 2]] * 5, 4000, 0, 100)
    assert pairs.label.mean() == pytest.approx(0.5, abs=0.03)
    first = np.where(pairs.label == 1, pairs.second_end, pairs.first_end)
    second = np.where(pairs.label == 1, pairs.first_start, pairs.second_start)
    np.testing.assert_array_equal(first, second)
