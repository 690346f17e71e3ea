"""LSTM, convolution and bag-of-words encoders in plain NumPy: one sequence and one token at a time.

`weights` maps the path of each weight in the models to its array, as in reference_bert.py.
"""

import numpy as np

from tests import reference_bert
from tests.reference_bert import activation, dense, layer_norm


def encode(weights, config, token_ids, segment_ids, padding_mask):
    """`sequence_output` (batch, sequence, hidden), 0 at padding, and `pooled_output`, of the first
    sequence of each row."""
    shape = (*np.shape(token_ids), config.hidden_dim)
    outputs, pooled = np.zeros(shape), np.zeros((shape[0], config.hidden_dim))
    for row, mask in enumerate(padding_mask):
        for number in sorted(set(mask) - {0}):
            places = [place for place, other in enumerate(mask) if other == number]
            ids, segments = token_ids[row][places], segment_ids[row][places]
            x = reference_bert.embed(
                weights, config.layer_norm_epsilon, ids, segments, [1] * len(ids), "none"
            )
            for index in range(config.num_layers):
                x = BLOCKS[config.architecture](weights, f"block_{index}/", config, x)
            outputs[row, places] = x
            if number == mask[0]:
                pooled[row] = reference_bert.pool(weights, _vector(config, x))
    return {"sequence_output": outputs, "pooled_output": pooled}


def _vector(config, x):
    """What the pooler reads of a sequence (tokens, hidden)."""
    if config.architecture == "cnn":
        return x.max(axis=0)
    if config.architecture == "bag":
        return x.mean(axis=0)
    half = x.shape[1] // 2
    return x[-1] if config.direction == "left" else np.concatenate([x[-1, :half], x[0, half:]])


def lstm(weights, prefix, x):
    """The states, one after another; gates in the order input, forget, candidate, output."""
    kernel = weights[prefix + "/recurrence/cell/kernel"]
    state = memory = np.zeros(len(kernel))
    states = []
    for token in x:
        gates = dense(weights, prefix + "/projection", token) + state @ kernel
        i, f, c, o = np.split(gates, 4)
        memory = _sigmoid(f) * memory + _sigmoid(i) * np.tanh(c)
        state = _sigmoid(o) * np.tanh(memory)
        states.append(state)
    return np.stack(states)


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _bilstm(weights, prefix, config, x):
    before, after = np.split(x, 2, axis=1) if config.direction == "apart" else (x, x)
    forward = lstm(weights, prefix + "forward", before)
    if config.direction == "left":
        return forward
    return np.concatenate([forward, lstm(weights, prefix + "backward", after[::-1])[::-1]], axis=1)


def _convolution(weights, prefix, config, x):
    """Of each token the one before, itself and the one after; or the two before and itself."""
    offsets = (-2, -1, 0) if config.direction == "left" else (-1, 0, 1)
    zero = np.zeros(x.shape[1])
    windows = [
        np.concatenate([x[t + o] if 0 <= t + o < len(x) else zero for o in offsets])
        for t in range(len(x))
    ]
    return _sum(weights, prefix, config, x, np.stack(windows))


def _bag(weights, prefix, config, x):
    left = config.direction == "left"
    means = [x[: t + 1].mean(axis=0) if left else x.mean(axis=0) for t in range(len(x))]
    return _sum(weights, prefix, config, x, np.concatenate([x, np.stack(means)], axis=1))


def _sum(weights, prefix, config, x, context):
    added = activation(config.activation, dense(weights, prefix + "dense", context))
    return layer_norm(weights, prefix + "norm", x + added, config.layer_norm_epsilon)


BLOCKS = {"bilstm": _bilstm, "cnn": _convolution, "bag": _bag}
