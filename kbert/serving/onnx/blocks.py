"""The embedding and the blocks of every architecture as nodes of an ONNX graph."""

import math

from kbert.config import CONVOLUTION_WIDTH
from kbert.layers.embedding import BertEmbedding
from kbert.layers.encoder_block import TransformerEncoderBlock
from kbert.layers.other_blocks import BagBlock, ConvolutionBlock
from kbert.serving.onnx.attention import attention, positions, sinusoids, visible
from kbert.serving.onnx.graph import Graph
from kbert.serving.onnx.parts import dense, gathered, is_real, norm, weight

# Behind the end of any axis.
_END = 2**31 - 1


def embedding(
    graph: Graph,
    layer: BertEmbedding,
    token_ids: str,
    segment_ids: str | None = None,
    padding_mask: str | None = None,
    reverse: bool = False,
) -> str:
    """As the layer's `call`."""
    if reverse:  # Vectors, not ids, to scores over the vocabulary.
        table = graph.add("Transpose", weight(graph, layer.token_table), perm=(1, 0))
        return graph.add("MatMul", token_ids, table)
    tokens = graph.add("Gather", weight(graph, layer.token_table), token_ids)
    segments = graph.add("Gather", weight(graph, layer.segment_table), segment_ids)
    embedded = graph.add("Add", tokens, segments)
    if layer.position == "learned":
        table = weight(graph, layer.position_table)
        rows = graph.add("Gather", table, positions(graph, padding_mask))
        embedded = graph.add("Add", embedded, rows)
    elif layer.position == "sinusoidal":
        waves = sinusoids(graph, padding_mask, layer.hidden_dim)
        root = graph.constant(math.sqrt(layer.hidden_dim))
        embedded = graph.add("Add", embedded, graph.add("Div", waves, root))
    return norm(graph, layer.norm, embedded)


def encoder_block(
    graph: Graph,
    layer: TransformerEncoderBlock,
    x: str,
    padding_mask: str,
    positions: str | None = None,
) -> str:
    """As the layer's `call`."""
    inner = norm(graph, layer.attention_input_norm, x)
    attended = attention(graph, layer.attention, inner, padding_mask)
    if positions is not None:  # Behind the attention, of which ONNX Runtime knows the usual form.
        x, attended = (gathered(graph, values, positions) for values in (x, attended))
    x = norm(graph, layer.attention_norm, graph.add("Add", attended, x))
    inner = dense(graph, layer.intermediate, norm(graph, layer.intermediate_input_norm, x))
    return norm(
        graph, layer.output_norm, graph.add("Add", dense(graph, layer.output_dense, inner), x)
    )


def convolution_block(graph: Graph, layer: ConvolutionBlock, x: str, padding_mask: str) -> str:
    """As the layer's `call`."""
    before = CONVOLUTION_WIDTH - 1 if layer.direction == "left" else CONVOLUTION_WIDTH // 2
    after = CONVOLUTION_WIDTH - 1 - before
    zero = graph.constant(0.0)
    padded = graph.add("Pad", x, graph.axes(0, before, 0, 0, after, 0), zero)
    ends = graph.axes(0, before, 0, after)
    numbers = graph.add("Pad", padding_mask, ends, graph.constant(0, "int32"))
    seen = []
    for place in range(CONVOLUTION_WIDTH):
        end = place + 1 - CONVOLUTION_WIDTH or _END
        part = [graph.axes(number) for number in (place, end, 1)]
        same = graph.add("Equal", graph.add("Slice", numbers, *part), padding_mask)
        there = graph.add("And", same, is_real(graph, padding_mask))
        there = graph.add("Unsqueeze", there, graph.axes(2))
        seen.append(graph.add("Where", there, graph.add("Slice", padded, *part), zero))
    return _with_context(graph, layer, x, graph.add("Concat", *seen, axis=2))


def bag_block(graph: Graph, layer: BagBlock, x: str, padding_mask: str) -> str:
    """As the layer's `call`."""
    seen = visible(graph, padding_mask, layer.direction)
    seen = graph.cast(graph.add("Squeeze", seen, graph.axes(1)), "float32")
    count = graph.add("ReduceSum", seen, graph.axes(-1), keepdims=1)
    shares = graph.add("Div", seen, graph.add("Max", count, graph.constant(1.0)))
    mean = graph.add("MatMul", shares, x)
    return _with_context(graph, layer, x, graph.add("Concat", x, mean, axis=2))


def _with_context(graph, layer, x, context):
    return norm(graph, layer.norm, graph.add("Add", dense(graph, layer.dense, context), x))
