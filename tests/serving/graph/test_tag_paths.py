"""The best sequences of tags of a batch, against those of one sentence in NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from kbert.serving.graph.tag_paths import best_paths
from kbert.tasks.tag_schemes import bio_tags, valid_transitions
from kbert.tasks.tag_sequences import marginals, viterbi

TAGS = bio_tags(("A", "B"))


@pytest.mark.parametrize("lengths", [(4, 1, 0, 7), (1, 1), (0,), ()])
@pytest.mark.parametrize("kind", ["learned", "valid", "ties"])
def test_paths_and_their_probabilities(lengths, kind):
    rng = np.random.default_rng(0)
    transitions = rng.normal(size=(len(TAGS) + 2, len(TAGS)))
    emissions = rng.normal(size=(sum(lengths), len(TAGS)))
    if kind == "valid":
        transitions = transitions + valid_transitions(TAGS)
    if kind == "ties":
        transitions, emissions = transitions.round(), emissions.round()
    ragged = tf.RaggedTensor.from_row_lengths(emissions, np.array(lengths, "int64"))
    tags, scores = best_paths(ragged, tf.constant(transitions[None]))
    start = 0
    for length in lengths:
        own = slice(start, start + length)
        start += length
        if length:
            alone = emissions[own][None], np.array([length]), transitions
            best = viterbi(*alone)[0]
            assert tags[own].numpy().tolist() == best.tolist()
            expected = marginals(*alone)[0, range(length), best]
            np.testing.assert_allclose(scores[own], expected, rtol=1e-12)
    assert tags.shape == scores.shape == (sum(lengths),)
