"""LSTMs as nodes of an ONNX graph, which read one sequence a row: what an export is asked."""

from collections.abc import Sequence

import keras
import numpy as np

from kbert.layers.bilstm import LSTM, BiLSTM, LastStates
from kbert.layers.other_blocks import BiLSTMBlock
from kbert.serving.onnx.graph import Graph
from kbert.serving.onnx.parts import lengths


def bilstm(graph: Graph, layer: BiLSTM, x: str, padding_mask: str) -> str:
    """As the layer's `call`."""
    for index, pair in enumerate(zip(layer.forward, layer.backward, strict=True)):
        x = _states(graph, pair, f"{layer.path}/{index}", x, padding_mask, "bidirectional")
    return x


def bilstm_block(graph: Graph, layer: BiLSTMBlock, x: str, padding_mask: str) -> str:
    """As the layer's `call`."""
    forward = f"{layer.path}/forward"
    if layer.direction == "left":
        return _states(graph, [layer.forward], forward, x, padding_mask, "forward")
    both = [layer.forward, layer.backward]
    if layer.direction == "both":
        return _states(graph, both, layer.path, x, padding_mask, "bidirectional")
    halves = graph.split("Split", x, outputs=2, axis=2, num_outputs=2)
    states = [
        _states(graph, [lstm], f"{layer.path}/{name}", half, padding_mask, name)
        for lstm, half, name in zip(both, halves, ("forward", "reverse"), strict=True)
    ]
    return graph.add("Concat", *states, axis=2)


def _states(
    graph: Graph, lstms: Sequence[LSTM], path: str, x: str, padding_mask: str, direction: str
) -> str:
    """(batch, sequence, width) -> the states of all LSTMs side by side."""
    kernel, recurrent, bias = (
        graph.weight(np.stack(arrays), f"{path}/{name}")
        for name, arrays in zip(
            ("kernel", "recurrent", "bias"), zip(*map(_gates, lstms), strict=True), strict=True
        )
    )
    x = graph.add("Transpose", x, perm=(1, 0, 2))
    states = graph.add(
        "LSTM",
        *(x, kernel, recurrent, bias, lengths(graph, padding_mask)),
        direction=direction,
        hidden_size=lstms[0].size,
    )  # (sequence, direction, batch, size)
    states = graph.add("Transpose", states, perm=(2, 0, 1, 3))
    return graph.add("Reshape", states, graph.axes(0, 0, len(lstms) * lstms[0].size))


def _gates(lstm):
    """Kernel, recurrent kernel and bias as ONNX has them: of gates i, o, f, c, transposed."""
    kernel, bias = (
        keras.ops.convert_to_numpy(weight)
        for weight in (lstm.projection.kernel, lstm.projection.bias)
    )
    recurrent = keras.ops.convert_to_numpy(lstm.recurrence.cell.kernel)

    def ordered(array):
        i, f, c, o = np.split(array, 4, axis=-1)
        return np.concatenate([i, o, f, c], axis=-1).T

    # ONNX adds a bias of the recurrence, too.
    return ordered(kernel), ordered(recurrent), np.pad(ordered(bias), (0, len(bias)))


def last_states(graph: Graph, layer: LastStates, states: str, padding_mask: str) -> str:
    """As the layer's `call`."""
    forward, backward = graph.split("Split", states, outputs=2, axis=2, num_outputs=2)
    last = graph.add("Sub", lengths(graph, padding_mask), graph.constant(1, "int32"))
    last = graph.add("Max", last, graph.constant(0, "int32"))
    last = graph.cast(graph.add("Unsqueeze", last, graph.axes(1)), "int64")
    forward = graph.add("GatherND", forward, last, batch_dims=1)
    backward = graph.add("Gather", backward, graph.constant(0, "int64"), axis=1)
    return graph.add("Concat", forward, backward, axis=-1)
