"""kbert's layers as nodes of an ONNX graph: a function a layer, which adds what its call computes.

Each takes the graph, the layer and what `call` takes, values of the graph in the place of tensors,
and returns the value of the result. Nodes are chosen so that ONNX Runtime fuses them.
"""

import math
from collections.abc import Sequence

import keras
import numpy as np

from kbert.errors import DataError
from kbert.layers import IMPOSSIBLE
from kbert.layers.attention import MultiHeadSelfAttention
from kbert.layers.averaging import MeanOfOutputs
from kbert.layers.bilstm import BiLSTM, LastStates
from kbert.layers.crf import Transitions
from kbert.layers.dense import Geglu, Gelu, TokenDense
from kbert.layers.dropout import Dropout
from kbert.layers.embedding import BertEmbedding
from kbert.layers.encoder_block import TransformerEncoderBlock
from kbert.layers.heads import MaskedLMHead, Pooler, SequencePooler, VocabularyBias
from kbert.layers.multiple_choice import ChoiceScores, FoldChoices
from kbert.layers.pooling import AttentionPooling, WeightedSum
from kbert.serving.onnx.graph import Graph


def _weight(graph: Graph, variable: keras.Variable) -> str:
    return graph.weight(keras.ops.convert_to_numpy(variable.value), variable.path)


def _dense(graph: Graph, layer: keras.layers.Dense, x: str) -> str:
    product = graph.add("MatMul", x, _weight(graph, layer.kernel))
    if layer.use_bias:
        product = graph.add("Add", product, _weight(graph, layer.bias))
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


def _norm(graph: Graph, layer: keras.layers.Layer, x: str) -> str:
    if isinstance(layer, keras.layers.Identity):  # Where a block has no norm.
        return x
    scale, shift = _weight(graph, layer.gamma), _weight(graph, layer.beta)
    return graph.add("LayerNormalization", x, scale, shift, epsilon=layer.epsilon)


def _embedding(
    graph: Graph,
    layer: BertEmbedding,
    token_ids: str,
    segment_ids: str | None = None,
    padding_mask: str | None = None,
    reverse: bool = False,
) -> str:
    if reverse:  # Vectors, not ids, to scores over the vocabulary.
        table = graph.add("Transpose", _weight(graph, layer.token_table), perm=(1, 0))
        return graph.add("MatMul", token_ids, table)
    if layer.position not in ("learned", "none"):
        raise DataError(f"kbert writes no position {layer.position} to ONNX.")
    tokens = graph.add("Gather", _weight(graph, layer.token_table), token_ids)
    segments = graph.add("Gather", _weight(graph, layer.segment_table), segment_ids)
    embedded = graph.add("Add", tokens, segments)
    if layer.position == "learned":
        table = _weight(graph, layer.position_table)
        rows = graph.add("Gather", table, _positions(graph, padding_mask))
        embedded = graph.add("Add", embedded, rows)
    return _norm(graph, layer.norm, embedded)


def _positions(graph, padding_mask):
    """How many earlier tokens of the row carry the same number."""
    same = graph.add("Equal", *_crossed(graph, padding_mask, 1))
    earlier = graph.add("Less", *reversed(_crossed(graph, _places(graph, padding_mask), 1)))
    both = graph.cast(graph.add("And", same, earlier), "int32")
    return graph.add("ReduceSum", both, graph.axes(-1), keepdims=0)


def _crossed(graph, x, axis):
    """x of each token as a column, and of each as a row, new axes from `axis` on."""
    return [graph.add("Unsqueeze", x, graph.axes(new)) for new in (axis + 1, axis)]


def _places(graph, padding_mask):
    """1, 2, 3 ... along each row. As a sum, so that its shape is known to be that of the mask:
    else ONNX Runtime cannot tell that a residual sum has two summands of one shape."""
    ones = graph.cast(graph.add("Equal", padding_mask, padding_mask), "int32")
    return graph.add("CumSum", ones, graph.constant(1, "int64"))


def _attention(graph: Graph, layer: MultiHeadSelfAttention, x: str, padding_mask: str) -> str:
    if layer.score not in ("scaled_dot", "dot"):
        raise DataError(f"kbert writes no attention_score {layer.score} to ONNX.")
    if layer.rotary:
        raise DataError("kbert writes no position rotary to ONNX.")
    hidden = layer.output_projection.units
    heads = graph.axes(0, 0, layer.num_heads, hidden // layer.num_heads)
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
    query = graph.add("Transpose", query, perm=(0, 2, 1, 3))
    key = graph.add("Transpose", key, perm=(0, 2, 3, 1))
    value = graph.add("Transpose", value, perm=(0, 2, 1, 3))
    scores = graph.add("MatMul", query, key)
    if layer.score == "scaled_dot":
        scores = graph.add("Div", scores, graph.constant(np.sqrt(hidden // layer.num_heads)))
    scores = graph.add("Add", scores, _unseen(graph, padding_mask, layer.direction))
    probabilities = graph.add("Softmax", scores, axis=-1)
    context = graph.add("Transpose", graph.add("MatMul", probabilities, value), perm=(0, 2, 1, 3))
    return _dense(
        graph, layer.output_projection, graph.add("Reshape", context, graph.axes(0, 0, hidden))
    )


def _unseen(graph, padding_mask, direction):
    """0 where a token sees another, otherwise `IMPOSSIBLE`: (batch, 1, query, key)."""
    heads = graph.add("Unsqueeze", padding_mask, graph.axes(1))
    query, key = _crossed(graph, heads, 2)
    real = graph.add("Not", graph.add("Equal", key, graph.constant(0, "int32")))
    visible = graph.add("And", graph.add("Equal", query, key), real)
    if direction == "left":
        places = graph.add("Unsqueeze", _places(graph, padding_mask), graph.axes(1))
        later = graph.add("Less", *_crossed(graph, places, 2))
        visible = graph.add("And", visible, graph.add("Not", later))
    return graph.add("Where", visible, graph.constant(0.0), graph.constant(IMPOSSIBLE))


def _block(
    graph: Graph,
    layer: TransformerEncoderBlock,
    x: str,
    padding_mask: str,
    positions: str | None = None,
) -> str:
    inner = _norm(graph, layer.attention_input_norm, x)
    attended = _attention(graph, layer.attention, inner, padding_mask)
    if positions is not None:  # Behind the attention, of which ONNX Runtime knows the usual form.
        x, attended = (_gathered(graph, values, positions) for values in (x, attended))
    x = _norm(graph, layer.attention_norm, graph.add("Add", attended, x))
    inner = _dense(graph, layer.intermediate, _norm(graph, layer.intermediate_input_norm, x))
    return _norm(
        graph, layer.output_norm, graph.add("Add", _dense(graph, layer.output_dense, inner), x)
    )


def _pooler(
    graph: Graph, layer: Pooler, sequence_output: str, cls_positions: str | None = None
) -> str:
    if cls_positions is not None:
        return _dense(graph, layer.dense, _gathered(graph, sequence_output, cls_positions))
    first = graph.add("Gather", sequence_output, graph.constant(0, "int64"), axis=1)
    return _dense(graph, layer.dense, first)


def _sequence_pooler(
    graph: Graph, layer: SequencePooler, x: str, padding_mask: str, cls_positions: None = None
) -> str:
    """Of the first sequence of each row, which is that of an export."""
    number = graph.add("Slice", padding_mask, *map(graph.axes, (0, 1, 1)))
    member = graph.add("Equal", padding_mask, number)
    return _dense(graph, layer.dense, _pooled(graph, layer.kind, x, padding_mask, member))


def _pooled(graph, kind, x, padding_mask, member):
    column = graph.add("Unsqueeze", member, graph.axes(2))
    if kind == "mean":
        shares = graph.cast(column, "float32")
        total = graph.add("ReduceSum", graph.add("Mul", x, shares), graph.axes(1), keepdims=0)
        return graph.add("Div", total, graph.add("ReduceSum", shares, graph.axes(1), keepdims=0))
    if kind == "max":
        values = graph.add("Where", column, x, graph.constant(-6e4))
        return graph.add("ReduceMax", values, graph.axes(1), keepdims=0)
    places = graph.add("Mul", _places(graph, padding_mask), graph.cast(member, "int32"))
    last = graph.add("ReduceMax", places, graph.axes(1), keepdims=1)
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
        sequence_output = _gathered(graph, sequence_output, mask_positions)
    return _norm(graph, layer.norm, _dense(graph, layer.dense, sequence_output))


def _gathered(graph, vectors, positions):
    """Rows of each matrix: (batch, sequence, hidden), (batch, n) -> (batch, n, hidden)."""
    places = graph.cast(graph.add("Unsqueeze", positions, graph.axes(2)), "int64")
    return graph.add("GatherND", vectors, places, batch_dims=1)


def _vocabulary_bias(graph: Graph, layer: VocabularyBias, scores: str) -> str:
    return graph.add("Add", scores, _weight(graph, layer.bias))


def _attention_pooling(graph: Graph, layer: AttentionPooling, x: str, padding_mask: str) -> str:
    if layer.score == "additive":
        scores = _dense(graph, layer.query, _dense(graph, layer.dense, x))
    else:
        root = graph.constant(np.sqrt(layer.query.kernel.shape[0]))
        scores = graph.add("Div", _dense(graph, layer.query, x), root)
    padding = graph.add("Equal", padding_mask, graph.constant(0, "int32"))
    padding = graph.add("Unsqueeze", padding, graph.axes(2))
    scores = graph.add("Where", padding, graph.constant(IMPOSSIBLE), scores)
    weighted = graph.add("Mul", graph.add("Softmax", scores, axis=1), x)
    return graph.add("ReduceSum", weighted, graph.axes(1), keepdims=0)


def _weighted_sum(graph: Graph, layer: WeightedSum, x: str) -> str:
    weights = keras.ops.convert_to_numpy(keras.ops.softmax(layer.weight) * layer.gamma)[:, None]
    layers = graph.add("Reshape", x, graph.axes(0, 0, layer.num_layers, -1))
    weighted = graph.add("Mul", layers, graph.weight(weights, layer.path))
    return graph.add("ReduceSum", weighted, graph.axes(2), keepdims=0)


def _bilstm(graph: Graph, layer: BiLSTM, x: str, padding_mask: str) -> str:
    lengths = _lengths(graph, padding_mask)
    for index, pair in enumerate(zip(layer.forward, layer.backward, strict=True)):
        weights = [_gates(lstm) for lstm in pair]
        kernel, recurrent, bias = (
            graph.weight(np.stack(arrays), f"{layer.path}/{index}/{name}")
            for name, arrays in zip(
                ("kernel", "recurrent", "bias"), zip(*weights, strict=True), strict=True
            )
        )
        states = graph.add(
            "LSTM",
            *(graph.add("Transpose", x, perm=(1, 0, 2)), kernel, recurrent, bias, lengths),
            direction="bidirectional",
            hidden_size=layer.size,
        )  # (sequence, direction, batch, size)
        states = graph.add("Transpose", states, perm=(2, 0, 1, 3))
        x = graph.add("Reshape", states, graph.axes(0, 0, 2 * layer.size))
    return x


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


def _last_states(graph: Graph, layer: LastStates, states: str, padding_mask: str) -> str:
    forward, backward = graph.split("Split", states, outputs=2, axis=2, num_outputs=2)
    last = graph.add("Sub", _lengths(graph, padding_mask), graph.constant(1, "int32"))
    last = graph.add("Max", last, graph.constant(0, "int32"))
    last = graph.cast(graph.add("Unsqueeze", last, graph.axes(1)), "int64")
    forward = graph.add("GatherND", forward, last, batch_dims=1)
    backward = graph.add("Gather", backward, graph.constant(0, "int64"), axis=1)
    return graph.add("Concat", forward, backward, axis=-1)


def _lengths(graph, padding_mask):
    real = graph.add("Not", graph.add("Equal", padding_mask, graph.constant(0, "int32")))
    return graph.add("ReduceSum", graph.cast(real, "int32"), graph.axes(-1), keepdims=0)


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
    BertEmbedding: _embedding,
    BiLSTM: _bilstm,
    ChoiceScores: _choice_scores,
    Dropout: _same,
    FoldChoices: _fold_choices,
    LastStates: _last_states,
    MaskedLMHead: _masked_lm_head,
    MeanOfOutputs: _mean_of_outputs,
    Pooler: _pooler,
    SequencePooler: _sequence_pooler,
    TokenDense: _dense,
    TransformerEncoderBlock: _block,
    Transitions: _transitions,
    VocabularyBias: _vocabulary_bias,
    WeightedSum: _weighted_sum,
    keras.layers.Dense: _dense,
    keras.layers.Dropout: _same,
    keras.layers.Identity: _same,
    keras.layers.LayerNormalization: _norm,
}
