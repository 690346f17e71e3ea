"""The random field: every probability is that of a sum over all sequences."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from kbert.layers.crf import Transitions, log_likelihood
from tests.layers.contract import numpy

TAGS = 3
rng = np.random.default_rng(0)
LOGITS = rng.normal(size=(4, 5, TAGS)).astype("float32")
TRANSITIONS = rng.normal(size=(TAGS + 2, TAGS)).astype("float32")
GOLD = rng.integers(0, TAGS, (4, 5))
# Whole, with holes, one word, none.
MASK = np.array([[1, 1, 1, 1, 1], [0, 1, 0, 1, 1], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0]], bool)


def total(tags, logits, transitions):
    steps = itertools.pairwise(tags)
    return (
        transitions[-2, tags[0]]
        + sum(logit[tag] for logit, tag in zip(logits, tags, strict=True))
        + sum(transitions[a, b] for a, b in steps)
        + transitions[-1, tags[-1]]
    )


def by_brute_force(logits, transitions, tags):
    logits, transitions = logits.astype("float64"), transitions.astype("float64")
    sums = [
        total(sequence, logits, transitions)
        for sequence in itertools.product(range(TAGS), repeat=len(tags))
    ]
    return total(tags, logits, transitions) - np.log(np.exp(sums).sum())


def test_equals_the_sum_over_all_sequences():
    found = numpy(log_likelihood(LOGITS, TRANSITIONS, GOLD, MASK))
    for row in range(3):
        kept = MASK[row]
        expected = by_brute_force(LOGITS[row, kept], TRANSITIONS, GOLD[row, kept])
        assert found[row] == pytest.approx(expected, rel=1e-4)
    assert found[3] == 0


def test_without_transitions_words_are_independent():
    found = numpy(log_likelihood(LOGITS, np.zeros_like(TRANSITIONS), GOLD, MASK))
    logs = numpy(ops.log_softmax(LOGITS))
    expected = (np.take_along_axis(logs, GOLD[..., None], -1)[..., 0] * MASK).sum(axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="only TensorFlow has it")
def test_works_in_a_graph_that_does_not_know_its_lengths():
    import tensorflow as tf

    @tf.function(
        autograph=False,
        input_signature=[
            tf.TensorSpec([None, None, TAGS]),
            tf.TensorSpec([TAGS + 2, TAGS]),
            tf.TensorSpec([None, None], tf.int32),
            tf.TensorSpec([None, None], tf.bool),
        ],
    )
    def gradients(logits, transitions, tags, mask):
        with tf.GradientTape() as tape:
            tape.watch([logits, transitions])
            found = log_likelihood(logits, transitions, tags, mask)
        return found, tape.gradient(found, [logits, transitions])

    for length in (5, 3):
        parts = LOGITS[:, :length], TRANSITIONS, GOLD[:, :length].astype("int32"), MASK[:, :length]
        found, slopes = gradients(*parts)
        np.testing.assert_allclose(found, numpy(log_likelihood(*parts)), rtol=1e-5, atol=1e-5)
        assert all(np.isfinite(slope).all() for slope in slopes)
        # Positions without mask, and a row without any, change nothing.
        assert not np.any(slopes[0].numpy()[~MASK[:, :length]])
        assert np.any(slopes[1])


def test_learns_that_a_tag_follows_another():
    """Words say nothing: only the order of tags can be learned."""
    inputs = keras.Input((4, TAGS))
    layer = Transitions()
    model = keras.Model(inputs, layer(inputs))
    gold = np.array([[0, 1, 2, 0]])
    model.compile(
        keras.optimizers.SGD(1.0),
        lambda y, transitions: (
            -log_likelihood(
                np.zeros((1, 4, TAGS), "float32"), transitions[0], gold, np.ones((1, 4), bool)
            )
        ),
    )
    history = model.fit(np.zeros((1, 4, TAGS)), gold, epochs=20, verbose=0)
    assert history.history["loss"][-1] < 0.3 * history.history["loss"][0]
    learned = numpy(layer.transitions)
    assert learned[0].argmax() == 1
    assert learned[1].argmax() == 2
    assert learned[-2].argmax() == 0  # the first tag


def test_transitions_are_float32_and_the_same_for_every_row(precision):
    precision("mixed_bfloat16")
    layer = Transitions()
    output = layer(ops.zeros((3, 4, TAGS), "bfloat16"))
    assert output.shape == (3, TAGS + 2, TAGS)
    assert keras.backend.standardize_dtype(output.dtype) == "float32"
    copy = Transitions.from_config(layer.get_config())
    copy(ops.zeros((1, 2, TAGS)))
    assert [w.shape for w in copy.weights] == [w.shape for w in layer.weights]
