"""Next-sentence pairs: half real, half from another document, on every shape of corpus."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbert.corpus.store import Split
from kbert.errors import DataError
from kbert.pretraining.examples.next_sentence import NextSentencePairs
from tests.small_store import numbered_documents, split_arrays

PAIRS = NextSentencePairs()


def split_of(lengths):
    """A split from the lengths of each document's sentences."""
    return Split(*split_arrays(numbered_documents(lengths)))


def draw(split, count, seed=0, max_tokens=20, short_probability=0.1):
    rng = np.random.default_rng(seed)
    return PAIRS.draw(
        split,
        rng.random(count),
        rng.random((count, PAIRS.num_draws)),
        max_tokens=max_tokens,
        short_probability=short_probability,
    )


def document_of(split, token):
    sentence = np.searchsorted(split.sentences, token, side="right") - 1
    return np.searchsorted(split.documents, sentence, side="right") - 1


def check(split, pairs, max_tokens):
    """What holds for every pair of every corpus."""
    first = pairs.first_end - pairs.first_start
    second = pairs.second_end - pairs.second_start
    assert (first >= 1).all() and (second >= 1).all()
    assert (first + second <= max_tokens).all()
    assert (pairs.first_start >= 0).all() and (pairs.second_start >= 0).all()
    assert max(pairs.first_end.max(), pairs.second_end.max()) <= len(split.tokens)
    home = document_of(split, pairs.first_start)
    other = document_of(split, pairs.second_start)
    np.testing.assert_array_equal(home, document_of(split, pairs.first_end - 1))
    np.testing.assert_array_equal(other, document_of(split, pairs.second_end - 1))
    np.testing.assert_array_equal((pairs.label == 1), home != other)
    real = pairs.label == 0
    assert (pairs.first_end[real] <= pairs.second_start[real]).all()


@given(
    lengths=st.lists(st.lists(st.integers(1, 12), min_size=1, max_size=6), min_size=2, max_size=8),
    max_tokens=st.integers(2, 40),
    short_probability=st.sampled_from([0.0, 0.1, 1.0]),
    seed=st.integers(0, 1000),
)
def test_every_corpus(lengths, max_tokens, short_probability, seed):
    split = split_of(lengths)
    check(split, draw(split, 200, seed, max_tokens, short_probability), max_tokens)


@pytest.mark.parametrize("value", [0.0, np.nextafter(1, 0)])
@pytest.mark.parametrize("place", [0.0, np.nextafter(1, 0)])
def test_extreme_draws(value, place):
    split = split_of([[3, 4], [1], [5, 1, 2]])
    pairs = PAIRS.draw(
        split,
        np.array([place]),
        np.full((1, PAIRS.num_draws), value),
        max_tokens=6,
        short_probability=0.5,
    )
    check(split, pairs, 6)


def test_half_are_random():
    split = split_of([[4, 5, 6, 3]] * 30)
    pairs = draw(split, 20_000)
    check(split, pairs, 20)
    assert (pairs.label == 1).mean() == pytest.approx(0.5, abs=0.015)  # 4 standard errors


def test_two_documents():
    split = split_of([[4, 4], [4, 4]])
    pairs = draw(split, 2000)
    check(split, pairs, 20)
    assert (pairs.label == 1).mean() == pytest.approx(0.5, abs=0.05)


def test_one_sentence_documents_are_cut_in_two():
    split = split_of([[6]] * 10)
    pairs = draw(split, 4000)
    check(split, pairs, 20)
    real = pairs.label == 0
    assert real.mean() == pytest.approx(0.5, abs=0.03)
    np.testing.assert_array_equal(pairs.first_end[real], pairs.second_start[real])
    # Cut at each of the five places inside, about as often.
    cuts = np.bincount(pairs.first_end[real] % 6, minlength=6)
    assert cuts[0] == 0 and (cuts[1:] > 0.7 * real.sum() / 5).all()


def test_one_token_cannot_be_cut():
    split = split_of([[1]] * 5)
    pairs = draw(split, 500)
    check(split, pairs, 20)
    assert (pairs.label == 1).all()


def test_real_pairs_are_adjacent_before_trimming():
    """Documents that fit are not trimmed: both texts are whole sentences and touch."""
    split = split_of([[3, 5, 2], [4, 4], [1, 2, 3, 4]] * 5)
    pairs = draw(split, 2000, max_tokens=200, short_probability=0.0)
    real = pairs.label == 0
    np.testing.assert_array_equal(pairs.first_end[real], pairs.second_start[real])
    for ends in (pairs.first_start, pairs.first_end, pairs.second_start, pairs.second_end):
        assert np.isin(ends, split.sentences).all()
    # A real pair goes on to the end of its document, where there is room.
    ends = split.sentences[split.documents[document_of(split, pairs.first_start) + 1]]
    np.testing.assert_array_equal(pairs.second_end[real], ends[real])


def test_a_pair_starts_where_it_is_told():
    """At the sentence of its place; one earlier, where that is a document's last."""
    split = split_of([[2, 3, 4]] * 4)
    places = (np.arange(36) + 0.5) / 36
    draws = np.random.default_rng(0).random((36, PAIRS.num_draws))
    pairs = PAIRS.draw(split, places, draws, max_tokens=100, short_probability=0.0)
    expected = np.repeat(np.arange(4) * 9, 9) + np.tile([0, 0, 2, 2, 2, 2, 2, 2, 2], 4)
    np.testing.assert_array_equal(pairs.first_start, expected)


def test_rows_are_filled():
    """In long documents a full-length pair has exactly max_tokens."""
    split = split_of([[7] * 60] * 5)
    rng = np.random.default_rng(0)
    places = rng.integers(0, 5, 2000) / 5 + rng.random(2000) / 10  # first half of each document
    pairs = PAIRS.draw(
        split, places, rng.random((2000, PAIRS.num_draws)), max_tokens=30, short_probability=0.0
    )
    real = pairs.label == 0
    length = (pairs.first_end - pairs.first_start) + (pairs.second_end - pairs.second_start)
    assert (length[real] == 30).all()


def test_short_rows():
    """They aim at a uniform length from 2, and overshoot by less than a sentence."""
    split = split_of([[2] * 200] * 5)
    rng = np.random.default_rng(0)
    draws = rng.random((4000, PAIRS.num_draws))
    places = rng.integers(0, 5, 4000) / 5 + rng.random(4000) / 10
    options = {"max_tokens": 60}
    short = PAIRS.draw(split, places, draws, short_probability=1.0, **options)
    real = short.label == 0
    length = (short.first_end - short.first_start) + (short.second_end - short.second_start)
    assert length[real].mean() == pytest.approx(32, abs=1.5)  # mean of 2 ... 60, rounded up to even
    assert length[real].min() <= 5
    some = PAIRS.draw(split, places, draws, short_probability=0.1, **options)
    full = (some.first_end - some.first_start) + (some.second_end - some.second_start) >= 60
    assert (~full[some.label == 0]).mean() == pytest.approx(0.1, abs=0.03)


def test_random_texts_come_from_all_other_sentences():
    split = split_of([[3] * 4] * 5)
    pairs = draw(split, 20_000, max_tokens=1000, short_probability=0.0)
    starts = pairs.second_start[(pairs.label == 1)] // 3
    counts = np.bincount(starts, minlength=20)
    np.testing.assert_allclose(counts / len(starts), 1 / 20, atol=0.01)


def test_trimming_cuts_the_longer_text_at_both_ends():
    """As in the paper's code: neither text loses more than it must, front and back alike."""
    split = split_of([[50, 4], [50, 4]])
    pairs = draw(split, 4000, max_tokens=20, short_probability=0.0)
    real = (pairs.label == 0) & (pairs.second_end % 54 == 0)
    first = pairs.first_end[real] - pairs.first_start[real]
    assert (first == 16).all()
    front = pairs.first_start[real] % 54
    assert front.min() == 0 and front.max() == 34
    assert front.mean() == pytest.approx(17, abs=1.5)


@pytest.mark.parametrize("lengths", [[], [[3, 4]]])
def test_fewer_than_two_documents_are_refused(lengths):
    with pytest.raises(DataError, match=f"train split .* at least 2 .* Received: {len(lengths)}"):
        PAIRS.check(split_of(lengths), "train", 128)
