"""A start from which a small BERT learns sooner than from random numbers alone."""

import keras
import numpy as np

_GAIN = 1.5  # of queries and keys: attention falls to about 0.6 on the one token that is meant
_DISTANCES = (-1, 1, -2, 2, -3, 3, -4, 4)


def attend_to_neighbours(model: keras.Model) -> None:
    """Let the heads of the first block begin by looking at the token before, the one after, ...

    From BERT's initialisation attention is nearly uniform, and a masked LM spends its first
    millions of tokens on a plateau where it knows little more than word frequencies, until some
    heads have found the neighbours. Here they start there. All weights stay free to learn, and the
    architecture is BERT's.

    Positions start as waves: the table's columns are cos(w t) and sin(w t) for frequencies w spread
    evenly up to pi, of the variance that BERT's initialisation has. A head of distance d takes some
    of these pairs as its query, and the same pairs turned by w d as its key, so that query times
    key is the sum of cos(w (s - t - d)), which is highest where s = t + d.

    Args:
        model: a new encoder or pre-training model, whose layers have the names that `kbert.models`
            gives them. Heads beyond the eighth keep their random start.
    """
    embedding, attention = model.get_layer("embedding"), model.get_layer("block_0").attention
    length, hidden = embedding.position_table.shape
    frequencies = np.pi * (np.arange(hidden // 2) + 0.5) / (hidden // 2)
    angles = np.arange(length)[:, None] * frequencies
    waves = np.stack([np.cos(angles), np.sin(angles)], axis=-1).reshape(length, -1)
    table = np.zeros((length, hidden))
    # A wave's variance is 1/2.
    table[:, : waves.shape[1]] = waves * embedding.initializer_stddev * np.sqrt(2)
    embedding.position_table.assign(table)
    kernel = keras.ops.convert_to_numpy(attention.query_key_value.kernel).copy()
    head_dim = hidden // attention.num_heads
    rng = np.random.default_rng(0)
    for head, distance in zip(range(attention.num_heads), _DISTANCES, strict=False):
        pairs = np.sort(rng.permutation(hidden // 2)[: head_dim // 2])
        query = _turned(pairs, frequencies, 0, hidden)
        key = _turned(pairs, frequencies, distance, hidden)
        columns = slice(head * head_dim, head * head_dim + query.shape[1])
        kernel[:, :hidden][:, columns] = _GAIN * query
        kernel[:, hidden : 2 * hidden][:, columns] = _GAIN * key
    attention.query_key_value.kernel.assign(kernel)


def _turned(pairs, frequencies, distance, hidden):
    """(hidden, 2 x pairs): reads these waves as they stand `distance` tokens before."""
    matrix = np.zeros((hidden, 2 * len(pairs)))
    columns = 2 * np.arange(len(pairs))
    cosine, sine = np.cos(frequencies[pairs] * distance), np.sin(frequencies[pairs] * distance)
    matrix[2 * pairs, columns] = cosine
    matrix[2 * pairs + 1, columns] = sine
    matrix[2 * pairs, columns + 1] = -sine
    matrix[2 * pairs + 1, columns + 1] = cosine
    return matrix
