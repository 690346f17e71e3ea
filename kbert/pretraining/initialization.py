"""A start from which a small BERT learns sooner than from random numbers alone."""

import keras
import numpy as np

from kbert.config import BertConfig
from kbert.errors import DataError
from kbert.pretraining.cooccurrence import token_vectors

_GAIN = 1.5  # of queries and keys: attention falls to about 0.6 on the one token that is meant
# Standard deviation of the token table. Adam moves a weight by about the learning rate whatever its
# size: at BERT's 0.02 the counted vectors are lost in a few hundred steps.
_SPREAD = 0.05
_DISTANCES = (-1, 1, -2, 2, -3, 3, -4, 4)


def check_initialization(name: str, config: BertConfig) -> None:
    """Raise `DataError` for a model whose first block would have to look at neighbours and cannot.

    Args:
        name: one of `settings.INITIALIZATIONS`.
    """
    if name != "corpus":
        return
    _, score = next(config.block_variants())
    found = {"architecture": config.architecture, "attention_score": score}
    found |= {"position": config.position, "position_at": config.position_at}
    if list(found.values()) != ["transformer", "scaled_dot", "learned", "embedding"]:
        values = ", ".join(f"{name} {value}" for name, value in found.items())
        raise DataError(
            "A start from the corpus is for scaled dot products and learned positions at the "
            f"embedding. Received: {values}."
        )


def initialize(model: keras.Model, name: str, tokens: np.ndarray) -> None:
    """Give a new model what can be counted: which pieces are alike, and where neighbours stand.

    From BERT's initialisation a masked LM spends its first millions of tokens on a plateau where it
    knows little more than word frequencies. All weights stay free to learn, and the architecture is
    BERT's.

    Args:
        model: a new encoder or pre-training model, whose layers have the names that `kbert.models`
            gives them.
        name: "token-vectors": which pieces are alike, of any architecture; "corpus": both; "bert":
            nothing of it.
        tokens: ids of the training text, (tokens,).
    """
    if name == "bert":
        return
    embedding = model.get_layer("embedding")
    vectors = token_vectors(tokens, embedding.vocabulary_size, embedding.hidden_dim)
    embedding.token_table.assign(vectors * _SPREAD * np.sqrt(embedding.hidden_dim))
    if name == "corpus":
        attend_to_neighbours(model)


def attend_to_neighbours(model: keras.Model) -> None:
    """Let heads of the first block begin by looking at the token before, the one after, ...

    BERT's attention begins nearly uniform, and has to find out what is near. Half of the heads are
    left so, because [CLS] needs them to see the whole text.

    Positions start as waves: the table's columns are cos(w t) and sin(w t) for frequencies w spread
    evenly up to pi. A head of distance d takes some of these pairs as its query, and the same pairs
    turned by w d as its key, so that query times key is the sum of cos(w (s - t - d)), which is
    highest where s = t + d.

    Args:
        model: a new encoder or pre-training model, whose layers have the names that `kbert.models`
            gives them.
    """
    embedding, attention = model.get_layer("embedding"), model.get_layer("block_0").attention
    length, hidden = embedding.position_table.shape
    frequencies = np.pi * (np.arange(hidden // 2) + 0.5) / (hidden // 2)
    angles = np.arange(length)[:, None] * frequencies
    waves = np.stack([np.cos(angles), np.sin(angles)], axis=-1).reshape(length, -1)
    table = np.zeros((length, hidden))
    # As large as the tokens' vectors that they are added to; a wave's variance is 1/2.
    spread = np.std(keras.ops.convert_to_numpy(embedding.token_table))
    table[:, : waves.shape[1]] = waves * spread * np.sqrt(2)
    embedding.position_table.assign(table)
    kernel = keras.ops.convert_to_numpy(attention.query_key_value.kernel).copy()
    head_dim = hidden // attention.num_heads
    rng = np.random.default_rng(0)
    for head, distance in zip(range(attention.num_heads // 2), _DISTANCES, strict=False):
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
