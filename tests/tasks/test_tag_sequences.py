"""The best sequence is the best of all, a probability is over all: of every sentence of several."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kbert.tasks import tag_sequences
from kbert.tasks.tag_schemes import bio_tags, valid_transitions
from kbert.tasks.tag_sequences import best_sequences, marginals

TAGS = bio_tags(["LOC"])
score = st.floats(-5, 5).map(lambda value: round(value, 2))
sentences = st.lists(
    st.integers(1, 4).flatmap(lambda words: arrays(float, (words, 3), elements=score)), max_size=5
)


def total(sequence, emissions, transitions):
    return (
        transitions[-2, sequence[0]]
        + sum(emissions[i, tag] for i, tag in enumerate(sequence))
        + sum(transitions[a, b] for a, b in itertools.pairwise(sequence))
        + transitions[-1, sequence[-1]]
    )


def test_a_long_sentence_is_not_what_many_short_ones_are_padded_to():
    lengths = [2] * 3000 + [20_000]
    groups = list(tag_sequences._groups([np.zeros((length, 9)) for length in lengths]))
    assert max(padded.size for _, padded, _ in groups) <= tag_sequences._MOST
    assert sorted(number for numbers, *_ in groups for number in numbers) == list(range(3001))


@given(sentences, arrays(float, (5, 3), elements=score), st.booleans())
@pytest.mark.parametrize("at_once", [1, 18, 1 << 18])
def test_against_all_sequences(at_once, sentences, transitions, only_valid):
    """Sentences alone, two by two, and all together."""
    if only_valid:
        transitions = transitions + valid_transitions(TAGS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tag_sequences, "_AT_ONCE", at_once)
        found = best_sequences(sentences, transitions)
    assert len(found) == len(sentences)
    for emissions, (path, probabilities) in zip(sentences, found, strict=True):
        every = list(itertools.product(range(3), repeat=len(emissions)))
        sums = np.array([total(sequence, emissions, transitions) for sequence in every])
        assert total(path, emissions, transitions) == pytest.approx(sums.max())
        weights = np.exp(sums - sums.max())
        for word, tag in enumerate(path):
            share = weights[[sequence[word] == tag for sequence in every]].sum() / weights.sum()
            assert probabilities[word] == pytest.approx(share, abs=1e-9)


def test_neighbours_change_nothing():
    """To the bit: who is answered together depends on batches."""
    rng = np.random.default_rng(0)
    emissions = [rng.normal(size=(words, 9)) for words in rng.integers(1, 40, 50)]
    transitions = rng.normal(size=(11, 9))
    for alone, together in zip(emissions, best_sequences(emissions, transitions), strict=True):
        ((path, probabilities),) = best_sequences([alone], transitions)
        assert path.tolist() == together[0].tolist()
        assert probabilities.tolist() == together[1].tolist()


def test_without_transitions_marginals_are_a_softmax():
    emissions = np.array([[[800.0, 0, 0], [0, np.log(3), -np.inf]]])
    found = marginals(emissions, np.array([2]), np.zeros((5, 3)))
    np.testing.assert_allclose(found, [[[1, 0, 0], [0.25, 0.75, 0]]])
