"""BERT in plain NumPy, written from the papers' formulas: what the layers are held against.

Sources: arXiv 1810.04805 (BERT), 1706.03762 (attention, residuals), 1607.06450 (layer norm),
1606.08415 (GELU), and the constants that Google published with its weights: tanh-GELU, epsilon
1e-12, the pooler's tanh, the masked-LM transform before the tied table. One row and one head at a
time, in float64, with none of the library's tricks.

`weights` maps the path of each weight in the models to its array.
"""

import math

import numpy as np

_ERF = np.vectorize(math.erf)


def encode(weights, config, token_ids, segment_ids, padding_mask, pooled=True):
    """The encoder's four outputs for integer arrays (batch, sequence); without the pooler, if it
    has none."""
    rows = [
        _encode_row(weights, config, *row)
        for row in zip(token_ids, segment_ids, padding_mask, strict=True)
    ]
    hidden_states = [np.stack(layer) for layer in zip(*(row[0] for row in rows), strict=True)]
    return {
        "sequence_output": hidden_states[-1],
        "pooled_output": _pooled(weights, config, hidden_states[-1], padding_mask)
        if pooled
        else None,
        "hidden_states": hidden_states,
        "attention_scores": [np.stack(s) for s in zip(*(row[1] for row in rows), strict=True)],
    }


def pretrain_logits(weights, config, inputs):
    """Logits `masked_lm` (batch, predictions, vocabulary) and `next_sentence` (batch, n, 2)."""
    encoded = encode(weights, config, *encoder_inputs(inputs))["sequence_output"]
    masked = np.stack([row[p] for row, p in zip(encoded, inputs["mask_positions"], strict=True)])
    cls = np.stack([row[p] for row, p in zip(encoded, inputs["cls_positions"], strict=True)])
    return {
        "masked_lm": masked_lm_logits(weights, config, masked),
        "next_sentence": dense(weights, "next_sentence_head", pool(weights, cls)),
    }


def encoder_inputs(inputs):
    return [inputs[name] for name in ("token_ids", "segment_ids", "padding_mask")]


def masked_lm_logits(weights, config, hidden):
    """GELU(W h + b), normalised, times the token table, plus one bias a piece."""
    name = {"geglu": "gelu_tanh"}.get(config.activation, config.activation)
    x = activation(name, dense(weights, "masked_lm_head/dense", hidden))
    x = layer_norm(weights, "masked_lm_head/norm", x, config.layer_norm_epsilon)
    return x @ weights["embedding/token_table"].T + weights["masked_lm_bias/bias"]


def _pooled(weights, config, x, padding_mask):
    """Of [CLS], or of the last token of a row's first sequence, which alone has seen it all."""
    last = [max(np.flatnonzero(np.array(mask) == mask[0])) for mask in padding_mask]
    places = [0 if config.direction == "both" else place for place in last]
    return pool(weights, np.stack([row[place] for row, place in zip(x, places, strict=True)]))


def pool(weights, first_vectors):
    return np.tanh(dense(weights, "pooler/dense", first_vectors))


def _encode_row(weights, config, token_ids, segment_ids, padding_mask):
    """-> hidden states (num_layers + 1 times), attention scores (num_layers times) of one row."""
    kind, at = config.position, config.position_at
    added = kind if at == "embedding" else "none"
    x = embed(weights, config.layer_norm_epsilon, token_ids, segment_ids, padding_mask, added)
    hidden_states, scores = [x], []
    for layer in range(config.num_layers):
        if at == "every_layer":
            table = weights["position/table"] if kind == "learned" else sinusoids(x.shape[1])
            x = x + table[places(padding_mask)]
        x, probabilities = block(weights, config, f"block_{layer}/", x, padding_mask)
        hidden_states.append(x)
        scores.append(probabilities)
    return hidden_states, scores


def places(padding_mask):
    """How many earlier tokens carry the same number."""
    return [list(padding_mask[:place]).count(number) for place, number in enumerate(padding_mask)]


def sinusoids(hidden, length=64):
    """sin(t / 10000^(2i / hidden)) in column 2i, the cosine in the next."""
    table = np.zeros((length, hidden))
    for t in range(length):
        for column in range(hidden):
            angle = t / 10_000 ** ((column - column % 2) / hidden)
            table[t, column] = math.cos(angle) if column % 2 else math.sin(angle)
    return table


def embed(weights, epsilon, token_ids, segment_ids, padding_mask, position="learned"):
    total = weights["embedding/token_table"][token_ids]
    total = total + weights["embedding/segment_table"][segment_ids]
    if position == "learned":
        total = total + weights["embedding/position_table"][places(padding_mask)]
    if position == "sinusoidal":
        hidden = total.shape[1]
        # Divided by sqrt(hidden): LayerNorm makes one of that and of multiplying the other.
        total = total + sinusoids(hidden)[places(padding_mask)] / math.sqrt(hidden)
    return layer_norm(weights, "embedding/norm", total, epsilon)


def block(weights, config, prefix, x, padding_mask):
    """Each sub-layer's output is added to its input; post-norm normalises the sum, pre-norm the
    sub-layer's input."""
    first, second = norm_code(config, prefix)[:2]

    def norm(name, is_there, x):
        return layer_norm(weights, prefix + name, x, config.layer_norm_epsilon) if is_there else x

    attended, probabilities = attention(
        weights,
        prefix + "attention/",
        norm("attention_input_norm", first in "bw", x),
        padding_mask,
        config.num_heads,
        config.direction,
        "dot" if norm_code(config, prefix).endswith("u") else config.attention_score,
        config.position == "rotary",
    )
    x = norm("attention_norm", first in "aw", x + attended)
    inner = dense(
        weights, prefix + "intermediate", norm("intermediate_input_norm", second in "bw", x)
    )
    transformed = dense(weights, prefix + "output", activation(config.activation, inner))
    return norm("output_norm", second in "aw", x + transformed), probabilities


def norm_code(config, prefix):
    """The letters of a block; where the last has no norm after it, it gets one."""
    named = {"post": "aa", "pre": "bb"}
    codes = named.get(config.norm_placement, config.norm_placement).split(",")
    index = int(prefix.strip("/").removeprefix("block_"))
    code = codes[index] if len(codes) > 1 else codes[0]
    if index == config.num_layers - 1 and code[1] in "bn":
        code = code[0] + {"b": "w", "n": "a"}[code[1]] + code[2:]
    return code


def turned(x, positions, size):
    """Column i of each head and the one half a head behind it, turned by position x
    10000^(-2i / size) as a complex number."""
    heads = x.reshape(len(x), -1, 2, size // 2)
    pairs = heads[:, :, 0] + 1j * heads[:, :, 1]
    angles = np.outer(positions, 10_000.0 ** (-2 * np.arange(size // 2) / size))
    pairs = pairs * np.exp(1j * angles)[:, None]
    return np.stack([pairs.real, pairs.imag], axis=2).reshape(x.shape)


def attention_score(weights, prefix, name, head, query, key):
    """Of one query and one key of a head."""
    if name == "multiplicative":
        return query @ weights[prefix + "scores/kernel"][head] @ key
    if name == "additive":
        return weights[prefix + "scores/vector"][head] @ np.tanh(query + key)
    return query @ key / (math.sqrt(len(query)) if name == "scaled_dot" else 1)


def attention(
    weights, prefix, x, padding_mask, num_heads, direction="both", score="scaled_dot", rotary=False
):
    """-> (sequence, hidden) and the probabilities (heads, query, key).

    A token sees those of its own number; with direction left, those up to itself. One that sees
    nothing (padding) gets equal shares of all.
    """
    length, hidden = x.shape
    size = hidden // num_heads
    query, key, value = np.split(dense(weights, prefix + "query_key_value", x), 3, axis=1)
    probabilities = np.zeros((num_heads, length, length))
    context = np.zeros((length, hidden))
    if rotary:
        query, key = (turned(part, places(padding_mask), size) for part in (query, key))
    for head in range(num_heads):
        columns = slice(head * size, (head + 1) * size)
        for q, number in enumerate(padding_mask):
            end = q + 1 if direction == "left" else length
            seen = [k for k in range(end) if number and padding_mask[k] == number]
            if seen:
                scores = [
                    attention_score(
                        weights, prefix, score, head, query[q, columns], key[k, columns]
                    )
                    for k in seen
                ]
                probabilities[head, q, seen] = softmax(np.array(scores))
            else:
                probabilities[head, q] = 1 / length
        context[:, columns] = probabilities[head] @ value[:, columns]
    return dense(weights, prefix + "output_projection", context), probabilities


def dense(weights, prefix, x):
    return x @ weights[prefix + "/kernel"] + weights[prefix + "/bias"]


def layer_norm(weights, prefix, x, epsilon):
    mean = x.mean(axis=-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(axis=-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon) * weights[prefix + "/gamma"] + (
        weights[prefix + "/beta"]
    )


def softmax(scores):
    exponentials = np.exp(scores - scores.max())
    return exponentials / exponentials.sum()


def activation(name, x):
    if name == "gelu_tanh":
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    if name == "geglu":
        gate, value = np.split(x, 2, axis=-1)
        return activation("gelu_tanh", gate) * value
    if name == "gelu_erf":
        return 0.5 * x * (1 + _ERF(x / math.sqrt(2)))
    return np.maximum(x, 0)


def randomized(model, seed=0, stddev=0.3):
    """Give every weight of a Keras model or layer random values; returns them as `weights`."""
    rng = np.random.default_rng(seed)
    weights = {}
    for weight in model.weights:
        values = rng.normal(0, stddev, weight.shape) + (weight.path.endswith("gamma"))
        weight.assign(values.astype("float32"))
        weights[weight.path] = values.astype("float32").astype("float64")
    return weights


def random_inputs(rng, config, masks):
    """Random `token_ids`, `segment_ids` for rows of the given padding masks, and predictions."""
    padding_mask = np.array(masks, "int32")
    batch, sequence = padding_mask.shape
    return {
        "token_ids": rng.integers(0, config.vocabulary_size, (batch, sequence)).astype("int32"),
        "segment_ids": rng.integers(0, config.num_segments, (batch, sequence)).astype("int32"),
        "padding_mask": padding_mask,
        "mask_positions": rng.integers(0, sequence, (batch, 3)).astype("int32"),
        "cls_positions": rng.integers(0, sequence, (batch, 2)).astype("int32"),
    }
