"""Heads: how the vectors of a text's tokens become the one that its answer is computed from.

    pooler      tanh(W h + b) of [CLS], the encoder's own (BERT paper, section 4.1)
    mean, max   over the tokens
    attention   the tokens' mean, with learned weights (Yang et al. 2016)
    query       the same, with weights by the dot product of each token with a learned query
    bilstm      the last states of a two-layer BiLSTM (BERT paper, section 5.3)
    rcnn        states of a BiLSTM beside the tokens, the largest values over time (Lai et al. 2015)
    concat      [CLS], the largest values and the mean side by side (ULMFiT, arXiv 1801.06146)
    block       one more block of the encoder, and of it [CLS]

In the place of [CLS] stands the last token, if tokens see to the left only; both ends of LSTMs that
read in both directions; the largest values of a CNN; the mean of a bag.

A head is a function of the encoder, the tokens' vectors (batch, sequence, width) and the width of
an LSTM's direction, where it has one. Padding changes no answer. To add one, write the function and
its line in `HEADS`.
"""

from collections.abc import Callable

from kbert.tasks.heads.encoder_features import with_lstm

POOLER = "pooler"


def _pooler(encoder, vectors, lstm_size):
    from kbert.models import pooled_alone

    return pooled_alone(encoder)


def _mean(encoder, vectors, lstm_size):
    from kbert.layers.pooling import pool

    return pool(vectors, encoder.input["padding_mask"], "mean")


def _largest(encoder, vectors, lstm_size):
    from kbert.layers.pooling import pool

    return pool(vectors, encoder.input["padding_mask"], "max")


def _attention(encoder, vectors, lstm_size):
    from kbert.layers.pooling import AttentionPooling

    return AttentionPooling(name="attention_pooling")(vectors, encoder.input["padding_mask"])


def _query(encoder, vectors, lstm_size):
    from kbert.layers.pooling import AttentionPooling

    pooling = AttentionPooling("scaled_dot", name="attention_pooling")
    return pooling(vectors, encoder.input["padding_mask"])


def _bilstm(encoder, vectors, lstm_size):
    from kbert.layers.bilstm import LastStates

    states = with_lstm(encoder, vectors, lstm_size)
    return LastStates(name="last_states")(states, encoder.input["padding_mask"])


def _rcnn(encoder, vectors, lstm_size):
    """max_i tanh(W [c_i; h_i] + b), where c_i are the states at token i, itself read too."""
    import keras
    from keras import ops

    from kbert.layers.pooling import pool

    contexts = with_lstm(encoder, vectors, lstm_size, num_layers=1)
    beside = ops.concatenate([contexts, vectors], axis=-1)
    latent = keras.layers.Dense(vectors.shape[-1], activation="tanh", name="rcnn")(beside)
    return pool(latent, encoder.input["padding_mask"], "max")


def _block(encoder, vectors, lstm_size):
    from kbert.models import blocks

    top = blocks(encoder)[-1]
    one_more = type(top).from_config({**top.get_config(), "name": "head_block"})
    return _summary(encoder, one_more(vectors, encoder.input["padding_mask"]))


def _concat(encoder, vectors, lstm_size):
    from keras import ops

    parts = [_summary(encoder, vectors), _largest(encoder, vectors, None)]
    return ops.concatenate([*parts, _mean(encoder, vectors, None)], axis=-1)


def _summary(encoder, vectors):
    """What the encoder's pooler looks at: (batch, hidden), float32."""
    from keras import ops

    from kbert.layers.pooling import pool
    from kbert.models import summary_kind

    kind, padding_mask = summary_kind(encoder), encoder.input["padding_mask"]
    if kind != "ends":
        return pool(vectors, padding_mask, kind)
    half = vectors.shape[-1] // 2
    first, last = (pool(vectors, padding_mask, each) for each in ("cls", "last"))
    return ops.concatenate([last[:, :half], first[:, half:]], axis=-1)


HEADS: dict[str, Callable] = {
    POOLER: _pooler,
    "mean": _mean,
    "max": _largest,
    "attention": _attention,
    "query": _query,
    "bilstm": _bilstm,
    "rcnn": _rcnn,
    "concat": _concat,
    "block": _block,
}
# Those with an LSTM of their own.
RECURRENT = ("bilstm", "rcnn")
