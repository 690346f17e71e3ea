"""kbert's layers as nodes of an ONNX graph: a function a layer, which adds what its call computes.

Each takes the graph, the layer and what `call` takes, values of the graph in the place of tensors,
and returns the value of the result. Nodes are chosen so that ONNX Runtime fuses them.
"""

import math
from collections.abc import Sequence

import keras
import numpy as np

from kbert.layers import IMPOSSIBLE
from kbert.layers.averaging import MeanOfOutputs
from kbert.layers.bilstm import BiLSTM, LastStates
from kbert.layers.crf import Transitions
from kbert.layers.dense import TokenDense
from kbert.layers.dropout import Dropout
from kbert.layers.embedding import BertEmbedding
from kbert.layers.encoder_block import TransformerEncoderBlock
from kbert.layers.heads import MaskedLMHead, Pooler, SequencePooler, VocabularyBias
from kbert.layers.multiple_choice import ChoiceScores, FoldChoices
from kbert.layers.other_blocks import BagBlock, BiLSTMBlock, ConvolutionBlock
from kbert.layers.pooling import AttentionPooling, WeightedSum
from kbert.layers.position import PositionEmbedding
from kbert.serving.onnx.attention import position_embedding
from kbert.serving.onnx.blocks import bag_block, convolution_block, embedding, encoder_block
from kbert.serving.onnx.graph import Graph
from kbert.serving.onnx.parts import dense, gathered, is_real, norm, places, weight
from kbert.serving.onnx.recurrence import bilstm, bilstm_block, last_states


def _pooler(
    graph: Graph, layer: Pooler, sequence_output: str, cls_positions: str | None = None
) -> str:
    if cls_positions is not None:
        return dense(graph, layer.dense, gathered(graph, sequence_output, cls_positions))
    first = graph.add("Gather", sequence_output, graph.constant(0, "int64"), axis=1)
    return dense(graph, layer.dense, first)


def _sequence_pooler(
    graph: Graph, layer: SequencePooler, x: str, padding_mask: str, cls_positions: None = None
) -> str:
    """Of the first sequence of each row, which is that of an export."""
    number = graph.add("Slice", padding_mask, *map(graph.axes, (0, 1, 1)))
    member = graph.add("Equal", padding_mask, number)
    return dense(graph, layer.dense, _pooled(graph, layer.kind, x, padding_mask, member))


def _pooled(graph, kind, x, padding_mask, member):
    column = graph.add("Unsqueeze", member, graph.axes(2))
    if kind == "mean":
        shares = graph.cast(column, "float32")
        total = graph.add("ReduceSum", graph.add("Mul", x, shares), graph.axes(1), keepdims=0)
        return graph.add("Div", total, graph.add("ReduceSum", shares, graph.axes(1), keepdims=0))
    if kind == "max":
        values = graph.add("Where", column, x, graph.constant(-6e4))
        return graph.add("ReduceMax", values, graph.axes(1), keepdims=0)
    own = graph.add("Mul", places(graph, padding_mask), graph.cast(member, "int32"))
    last = graph.add("ReduceMax", own, graph.axes(1), keepdims=1)
    last = graph.cast(graph.add("Sub", last, graph.constant(1, "int32")), "int64")
    last = graph.add("GatherND", x, last, batch_dims=1)
    if kind == "last":
        return last
    first = graph.add("Gather", x, graph.constant(0, "int64"), axis=1)
    halves = [graph.split("Split", y, outputs=2, axis=-1, num_outputs=2) for y in (last, first)]
    return graph.add("Concat", halves[0][0], halves[1][1], axis=-1)


def _masked_lm_head(
    graph: Graph, layer: MaskedLMHead, sequence_output: str, mask_positions: str | None = None
) -> str:
    if mask_positions is not None:
        sequence_output = gathered(graph, sequence_output, mask_positions)
    return norm(graph, layer.norm, dense(graph, layer.dense, sequence_output))


def _vocabulary_bias(graph: Graph, layer: VocabularyBias, scores: str) -> str:
    return graph.add("Add", scores, weight(graph, layer.bias))


def _attention_pooling(graph: Graph, layer: AttentionPooling, x: str, padding_mask: str) -> str:
    if layer.score == "additive":
        scores = dense(graph, layer.query, dense(graph, layer.dense, x))
    else:
        root = graph.constant(np.sqrt(layer.query.kernel.shape[0]))
        scores = graph.add("Div", dense(graph, layer.query, x), root)
    there = graph.add("Unsqueeze", is_real(graph, padding_mask), graph.axes(2))
    scores = graph.add("Where", there, scores, graph.constant(IMPOSSIBLE))
    weighted = graph.add("Mul", graph.add("Softmax", scores, axis=1), x)
    return graph.add("ReduceSum", weighted, graph.axes(1), keepdims=0)


def _weighted_sum(graph: Graph, layer: WeightedSum, x: str) -> str:
    weights = keras.ops.convert_to_numpy(keras.ops.softmax(layer.weight) * layer.gamma)[:, None]
    layers = graph.add("Reshape", x, graph.axes(0, 0, layer.num_layers, -1))
    weighted = graph.add("Mul", layers, graph.weight(weights, layer.path))
    return graph.add("ReduceSum", weighted, graph.axes(2), keepdims=0)


def _transitions(graph: Graph, layer: Transitions, logits: str) -> str:
    batch = graph.add("Shape", logits, start=0, end=1)
    shape = graph.add("Concat", batch, graph.axes(1, 1), axis=0)
    one = graph.weight(keras.ops.convert_to_numpy(layer.transitions)[None], layer.path)
    return graph.add("Expand", one, shape)


def _fold_choices(graph: Graph, layer: FoldChoices, inputs: str) -> str:
    sequence = graph.add("Shape", inputs, start=2, end=3)
    return graph.add("Reshape", inputs, graph.add("Concat", graph.axes(-1), sequence, axis=0))


def _choice_scores(graph: Graph, layer: ChoiceScores, scores: str, padding_mask: str) -> str:
    shape = graph.add("Shape", padding_mask, start=0, end=2)
    scores = graph.add("Reshape", scores, shape)
    tokens = graph.add("ReduceMax", padding_mask, graph.axes(-1), keepdims=0)
    there = graph.add("Greater", tokens, graph.constant(0, "int32"))
    return graph.add("Where", there, scores, graph.constant(IMPOSSIBLE))


def _same(graph: Graph, layer: keras.layers.Layer, x: str) -> str:
    return x


def _mean_of_outputs(graph: Graph, layer: MeanOfOutputs, outputs: Sequence[str]) -> str:
    if layer.link == "identity":
        return graph.add("Mean", *outputs)
    if layer.link == "softmax":
        found = [graph.add("LogSoftmax", x, axis=-1) for x in outputs]
        count = graph.constant(math.log(len(found)))
        return graph.add("Sub", _log_sum_exp(graph, found), count)
    # log(1 / (1 + exp(-x))) and log(1 / (1 + exp(x))).
    negative = [graph.add("Neg", x) for x in outputs]
    yes, no = (
        [graph.add("Neg", graph.add("Softplus", x)) for x in values]
        for values in (negative, outputs)
    )
    return graph.add("Sub", _log_sum_exp(graph, yes), _log_sum_exp(graph, no))


def _log_sum_exp(graph, values):
    highest = graph.add("Max", *values)
    parts = [graph.add("Exp", graph.add("Sub", x, highest)) for x in values]
    return graph.add("Add", graph.add("Log", graph.add("Sum", *parts)), highest)


LAYERS = {
    AttentionPooling: _attention_pooling,
    BagBlock: bag_block,
    BertEmbedding: embedding,
    BiLSTM: bilstm,
    BiLSTMBlock: bilstm_block,
    ChoiceScores: _choice_scores,
    ConvolutionBlock: convolution_block,
    Dropout: _same,
    FoldChoices: _fold_choices,
    LastStates: last_states,
    MaskedLMHead: _masked_lm_head,
    MeanOfOutputs: _mean_of_outputs,
    Pooler: _pooler,
    PositionEmbedding: position_embedding,
    SequencePooler: _sequence_pooler,
    TokenDense: dense,
    TransformerEncoderBlock: encoder_block,
    Transitions: _transitions,
    VocabularyBias: _vocabulary_bias,
    WeightedSum: _weighted_sum,
    keras.layers.Dense: dense,
    keras.layers.Dropout: _same,
    keras.layers.Identity: _same,
    keras.layers.LayerNormalization: norm,
}
