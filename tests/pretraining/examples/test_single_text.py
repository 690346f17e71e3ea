"""Single texts: stretches of one document, at most as long as wanted, which reach all of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbert.corpus.store import Split
from kbert.errors import DataError
from kbert.pretraining.examples.single_sentence import SingleSentences
from kbert.pretraining.examples.single_text import SingleTexts
from tests.small_store import numbered_documents, split_arrays

TEXTS = SingleTexts()


def draw(lengths, places, draws, max_tokens, short_probability=0.0):
    split = Split(*split_arrays(numbered_documents(lengths)))
    options = {"max_tokens": max_tokens, "short_probability": short_probability}
    return split, TEXTS.draw(split, places, draws, **options)


def by_hand(lengths, place, draws, max_tokens, short_probability):
    """(start, end) of one text, in plain Python."""
    short, length, trim = draws
    target = max_tokens
    if short < short_probability:
        target = 1 + int(length * max_tokens)
    token = int(place * sum(map(sum, lengths)))
    begin = 0
    for sentences in lengths:
        if token < begin + sum(sentences):
            break
        begin += sum(sentences)
    starts = [begin + sum(sentences[:n]) for n in range(len(sentences) + 1)]
    first = max(n for n in range(len(sentences)) if starts[n] <= token)
    ends = [end for end in starts[first + 1 :] if end - starts[first] >= target]
    start, end = starts[first], ends[0] if ends else starts[-1]
    surplus = max(0, end - start - max_tokens)
    start += int(trim * (surplus + 1))
    return start, min(end, start + max_tokens)


documents = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=5), min_size=1, max_size=6)
unit = st.floats(0, 1, exclude_max=True)


@given(
    lengths=documents,
    place=unit,
    draws=st.tuples(unit, unit, unit),
    max_tokens=st.integers(1, 25),
    short_probability=st.sampled_from([0.0, 0.5]),
)
def test_equals_plain_python(lengths, place, draws, max_tokens, short_probability):
    _, texts = draw(lengths, np.array([place]), np.array([draws]), max_tokens, short_probability)
    expected = by_hand(lengths, place, draws, max_tokens, short_probability)
    assert (int(texts.first_start[0]), int(texts.first_end[0])) == expected
    assert texts.second_start[0] == texts.second_end[0] and texts.label[0] == -1
    assert 1 <= expected[1] - expected[0] <= max_tokens


def test_every_token_is_reached():
    """Of a sentence longer than a row, too."""
    rng = np.random.default_rng(0)
    split, texts = draw([[30], [2, 3]], rng.random(4000), rng.random((4000, 3)), 8)
    seen = {t for start, end in zip(*texts[:2], strict=True) for t in range(start, end)}
    assert seen == set(range(len(split.tokens)))


def test_single_sentences():
    """Each by itself, whole where a row holds it, and every one of them."""
    lengths = [[3, 1, 7], [2], [4, 30]]
    split = Split(*split_arrays(numbered_documents(lengths)))
    rng = np.random.default_rng(0)
    found = SingleSentences().draw(
        split, rng.random(2000), rng.random((2000, 1)), max_tokens=8, short_probability=0.0
    )
    spans = set(zip(found.first_start.tolist(), found.first_end.tolist(), strict=True))
    whole = {(0, 3), (3, 4), (4, 11), (11, 13), (13, 17)}
    assert whole < spans and (found.second_start == found.second_end).all()
    rest = spans - whole  # Of the sentence of 30 tokens, which begins at 17.
    assert rest == {(start, start + 8) for start in range(17, 17 + 30 - 8 + 1)}
    assert set(found.label) == {-1}


def test_what_cannot_be_drawn():
    split = Split(*split_arrays([]))
    with pytest.raises(DataError, match="train split must have at least 1 documents. Received: 0"):
        TEXTS.check(split, "train", 16)
    with pytest.raises(DataError, match="at least 3 tokens: 2 special .* sequence_length=2"):
        TEXTS.check(split, "train", 2)
