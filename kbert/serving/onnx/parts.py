"""What several layers are made of, as nodes of an ONNX graph."""

import keras

from kbert.errors import DataError
from kbert.layers.dense import Geglu, Gelu
from kbert.serving.onnx.graph import Graph


def weight(graph: Graph, variable: keras.Variable) -> str:
    """A variable's value, under its path."""
    return graph.weight(keras.ops.convert_to_numpy(variable.value), variable.path)


def dense(graph: Graph, layer: keras.layers.Dense, x: str) -> str:
    """activation(x W + b)"""
    product = graph.add("MatMul", x, weight(graph, layer.kernel))
    if layer.use_bias:
        product = graph.add("Add", product, weight(graph, layer.bias))
    return _activation(graph, layer.activation, product)


def _activation(graph, activation, x):
    if isinstance(activation, Geglu):
        gate, value = graph.split("Split", x, outputs=2, axis=-1, num_outputs=2)
        return graph.add("Mul", _gelu(graph, activation, gate), value)
    if isinstance(activation, Gelu):
        return _gelu(graph, activation, x)
    name = getattr(activation, "__name__", type(activation).__name__)
    if name == "linear":
        return x
    if name not in ("relu", "tanh"):
        raise DataError(f"kbert writes no activation {name} to ONNX.")
    return graph.add(name.capitalize(), x)


def _gelu(graph, activation, x):
    return graph.add("Gelu", x, approximate="tanh" if activation.approximate else "none")


def norm(graph: Graph, layer: keras.layers.Layer, x: str) -> str:
    """LayerNorm, or x where a block has none."""
    if isinstance(layer, keras.layers.Identity):
        return x
    scale, shift = weight(graph, layer.gamma), weight(graph, layer.beta)
    return graph.add("LayerNormalization", x, scale, shift, epsilon=layer.epsilon)


def gathered(graph: Graph, vectors: str, positions: str) -> str:
    """Rows of each matrix: (batch, sequence, hidden), (batch, n) -> (batch, n, hidden)."""
    places = graph.cast(graph.add("Unsqueeze", positions, graph.axes(2)), "int64")
    return graph.add("GatherND", vectors, places, batch_dims=1)


def places(graph: Graph, padding_mask: str) -> str:
    """1, 2, 3 ... along each row. As a sum, so that its shape is known to be that of the mask:
    else ONNX Runtime cannot tell that a residual sum has two summands of one shape."""
    ones = graph.cast(graph.add("Equal", padding_mask, padding_mask), "int32")
    return graph.add("CumSum", ones, graph.constant(1, "int64"))


def crossed(graph: Graph, x: str, axis: int) -> list[str]:
    """x of each token as a column, and of each as a row, new axes from `axis` on."""
    return [graph.add("Unsqueeze", x, graph.axes(new)) for new in (axis + 1, axis)]


def is_real(graph: Graph, padding_mask: str) -> str:
    """Which tokens are no padding."""
    return graph.add("Not", graph.add("Equal", padding_mask, graph.constant(0, "int32")))


def lengths(graph: Graph, padding_mask: str) -> str:
    """Tokens of each row: int32 (batch,)."""
    real = graph.cast(is_real(graph, padding_mask), "int32")
    return graph.add("ReduceSum", real, graph.axes(-1), keepdims=0)
