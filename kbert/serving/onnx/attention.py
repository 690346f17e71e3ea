"""Positions and attention as nodes of an ONNX graph."""

import keras
import numpy as np

from kbert.layers import IMPOSSIBLE
from kbert.layers.attention import MultiHeadSelfAttention
from kbert.layers.position import PositionEmbedding, frequencies
from kbert.serving.onnx.graph import Graph
from kbert.serving.onnx.parts import crossed, dense, is_real, places, weight


def positions(graph: Graph, padding_mask: str) -> str:
    """How many earlier tokens of the row carry the same number: int32 (batch, sequence)."""
    same = graph.add("Equal", *crossed(graph, padding_mask, 1))
    earlier = graph.add("Less", *reversed(crossed(graph, places(graph, padding_mask), 1)))
    both = graph.cast(graph.add("And", same, earlier), "int32")
    return graph.add("ReduceSum", both, graph.axes(-1), keepdims=0)


def position_embedding(graph: Graph, layer: PositionEmbedding, x: str, padding_mask: str) -> str:
    """x and the vector of each token's position."""
    if layer.kind == "learned":
        table = weight(graph, layer.table)
        vectors = graph.add("Gather", table, positions(graph, padding_mask))
    else:
        vectors = sinusoids(graph, padding_mask, layer.hidden_dim)
    return graph.add("Add", x, vectors)


def sinusoids(graph: Graph, padding_mask: str, hidden: int) -> str:
    """Waves of each token's position: (batch, sequence, hidden)."""
    angles = _angles(graph, padding_mask, (hidden + 1) // 2, hidden)
    waves = [
        graph.add("Unsqueeze", graph.add(wave, angles), graph.axes(3)) for wave in ("Sin", "Cos")
    ]
    vectors = graph.add("Reshape", graph.add("Concat", *waves, axis=3), graph.axes(0, 0, -1))
    return graph.add("Slice", vectors, *map(graph.axes, (0, hidden, 2)))


def _angles(graph, padding_mask, count, width):
    places = graph.cast(positions(graph, padding_mask), "float32")
    column = graph.add("Unsqueeze", places, graph.axes(2))
    return graph.add("Mul", column, graph.constant(frequencies(count, width)))


def _turned(graph, x, padding_mask, width):
    """Rotary: each pair of (batch, sequence, heads, width) by the angle of its position."""
    angles = _angles(graph, padding_mask, width // 2, width)
    angles = graph.add("Unsqueeze", angles, graph.axes(2))
    cosine, sine = (graph.add(wave, angles) for wave in ("Cos", "Sin"))
    first, second = graph.split("Split", x, outputs=2, axis=3, num_outputs=2)

    def mixed(operator, x, y):
        return graph.add(operator, graph.add("Mul", first, x), graph.add("Mul", second, y))

    return graph.add("Concat", mixed("Sub", cosine, sine), mixed("Add", sine, cosine), axis=3)


def attention(graph: Graph, layer: MultiHeadSelfAttention, x: str, padding_mask: str) -> str:
    """As the layer's `call`."""
    hidden = layer.output_projection.units
    width = hidden // layer.num_heads
    heads = graph.axes(0, 0, layer.num_heads, width)
    # Three products instead of one: ONNX Runtime needs no transposition of five axes then.
    kernels = np.split(keras.ops.convert_to_numpy(layer.query_key_value.kernel), 3, axis=1)
    biases = np.split(keras.ops.convert_to_numpy(layer.query_key_value.bias), 3)
    query, key, value = (
        graph.add(
            "Reshape",
            graph.add(
                "Add",
                graph.add("MatMul", x, graph.weight(kernel, f"{layer.path}/{name}/kernel")),
                graph.weight(bias, f"{layer.path}/{name}/bias"),
            ),
            heads,
        )
        for name, kernel, bias in zip(("query", "key", "value"), kernels, biases, strict=True)
    )
    if layer.rotary:
        query, key = (_turned(graph, part, padding_mask, width) for part in (query, key))
    query = graph.add("Transpose", query, perm=(0, 2, 1, 3))
    scores = _SCORES[layer.score](graph, layer.scores, query, key, width)
    scores = graph.add("Add", scores, _unseen(graph, padding_mask, layer.direction))
    probabilities = graph.add("Softmax", scores, axis=-1)
    value = graph.add("Transpose", value, perm=(0, 2, 1, 3))
    context = graph.add("Transpose", graph.add("MatMul", probabilities, value), perm=(0, 2, 1, 3))
    context = graph.add("Reshape", context, graph.axes(0, 0, hidden))
    return dense(graph, layer.output_projection, context)


def _dot(graph, layer, query, key, width):
    return graph.add("MatMul", query, graph.add("Transpose", key, perm=(0, 2, 3, 1)))


def _scaled_dot(graph, layer, query, key, width):
    return graph.add("Div", _dot(graph, layer, query, key, width), graph.constant(np.sqrt(width)))


def _multiplicative(graph, layer, query, key, width):
    query = graph.add("MatMul", query, weight(graph, layer.kernel))
    return _dot(graph, layer, query, key, width)


def _additive(graph, layer, query, key, width):
    key = graph.add("Transpose", key, perm=(0, 2, 1, 3))
    query, key = (
        graph.add("Unsqueeze", part, graph.axes(axis)) for part, axis in ((query, 3), (key, 2))
    )
    pairs = graph.add("Tanh", graph.add("Add", query, key))
    vector = graph.add("Unsqueeze", weight(graph, layer.vector), graph.axes(1, 2))
    return graph.add("ReduceSum", graph.add("Mul", pairs, vector), graph.axes(4), keepdims=0)


_SCORES = {
    "scaled_dot": _scaled_dot,
    "dot": _dot,
    "multiplicative": _multiplicative,
    "additive": _additive,
}


def visible(graph: Graph, padding_mask: str, direction: str) -> str:
    """Whether a token sees another: booleans (batch, 1, query, key)."""
    heads = graph.add("Unsqueeze", padding_mask, graph.axes(1))
    query, key = crossed(graph, heads, 2)
    seen = graph.add("And", graph.add("Equal", query, key), is_real(graph, key))
    if direction == "left":
        row = graph.add("Unsqueeze", places(graph, padding_mask), graph.axes(1))
        later = graph.add("Less", *crossed(graph, row, 2))
        seen = graph.add("And", seen, graph.add("Not", later))
    return seen


def _unseen(graph, padding_mask, direction):
    """0 where a token sees another, otherwise `IMPOSSIBLE`."""
    seen = visible(graph, padding_mask, direction)
    return graph.add("Where", seen, graph.constant(0.0), graph.constant(IMPOSSIBLE))
