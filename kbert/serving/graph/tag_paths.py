"""The best sequences of tags of a batch of sentences in a graph, as kbert/tasks/tag_schemes.py."""

import tensorflow as tf


def best_paths(emissions: tf.RaggedTensor, transitions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The best tag of each word and its probability among all sequences.

    Args:
        emissions: float64 (batch, (words), tags).
        transitions: float64 (batch or 1, tags + 2, tags): row i scores each tag behind tag i, the
            last row but one as the first of a sentence, the last row as its last.

    Returns:
        int32 (all words,) and float64 (all words,).
    """
    lengths = emissions.row_lengths()
    # Two words, so that there is a step: TensorFlow cannot stack the results of none.
    longest = tf.reduce_max(tf.concat([lengths, [2]], axis=0))
    size = emissions.flat_values.shape[-1]
    dense = emissions.to_tensor(shape=tf.stack([tf.constant(-1, tf.int64), longest, size]))
    by_time = tf.transpose(tf.ensure_shape(dense, [None, None, size]), [1, 0, 2])
    # (words, batch): whether a sentence has so many words.
    there = tf.transpose(tf.sequence_mask(lengths, longest))
    path = _viterbi(by_time, transitions, there)
    log_probabilities = _marginals(by_time, transitions, there)
    chosen = tf.gather(log_probabilities, path, batch_dims=2)
    return tuple(
        tf.RaggedTensor.from_tensor(tf.transpose(found), lengths).flat_values
        for found in (path, tf.exp(chosen))
    )


def _viterbi(emissions, transitions, there):
    """`viterbi`: int32 (words, batch)."""
    between, first, last = transitions[:, :-2], transitions[:, -2], transitions[:, -1]
    size = emissions.shape[-1]
    best = first + emissions[0]  # (batch, tags), of the sequences that end in each tag
    itself = tf.zeros_like(best, tf.int32) + tf.range(size)

    def forward(carry, inputs):
        best, _ = carry
        emission, there = inputs
        scores = best[:, :, None] + between  # (batch, tag before, tag)
        pointer = tf.argmax(scores, axis=1, output_type=tf.int32)
        extended = tf.reduce_max(scores, axis=1) + emission
        return tf.where(there, extended, best), tf.where(there, pointer, itself)

    def backward(tag, pointer):
        return tf.gather(pointer, tag, batch_dims=1)

    bests, pointers = tf.scan(forward, (emissions[1:], there[1:, :, None]), (best, itself))
    best = tf.concat([best[None], bests], axis=0)[-1]
    end = tf.argmax(best + last, axis=-1, output_type=tf.int32)
    path = tf.scan(backward, pointers, end, reverse=True)
    return tf.concat([path, end[None]], axis=0)


def _marginals(emissions, transitions, there):
    """`marginals`, as logarithms: float64 (words, batch, tags)."""
    between, first, last = transitions[:, :-2], transitions[:, -2], transitions[:, -1]

    def forward(before, inputs):
        emission, there = inputs
        extended = tf.reduce_logsumexp(before[:, :, None] + between, axis=1) + emission
        return tf.where(there, extended, before)

    def backward(behind, inputs):
        emission, there = inputs
        extended = tf.reduce_logsumexp(between + (emission + behind)[:, None, :], axis=2)
        return tf.where(there, extended, behind)

    rest = (emissions[1:], there[1:, :, None])
    beginning = first + emissions[0]
    end = tf.zeros_like(beginning) + last
    ahead = tf.concat([beginning[None], tf.scan(forward, rest, beginning)], axis=0)
    back = tf.concat([tf.scan(backward, rest, end, reverse=True), end[None]], axis=0)
    scores = ahead + back
    return scores - tf.reduce_logsumexp(scores, axis=-1, keepdims=True)
