"""The only place where a BertConfig becomes layers.

Models are plain functional Keras models. They are rebuilt from a config and weights, so the
masked-LM output stays tied to the token table.
"""

from collections.abc import Mapping

import keras
from keras import ops

from kbert.config import BertConfig
from kbert.layers import Tensor, check_choice
from kbert.layers.attention import Memory
from kbert.layers.dense import initializer
from kbert.layers.embedding import BertEmbedding
from kbert.layers.encoder_block import TransformerEncoderBlock
from kbert.layers.heads import MaskedLMHead, Pooler, SequencePooler, VocabularyBias
from kbert.layers.other_blocks import BagBlock, BiLSTMBlock, ConvolutionBlock
from kbert.layers.position import PositionEmbedding

# What a model may be pre-trained for -> its heads, which are its outputs. The first is BERT's.
OBJECTIVE_HEADS = {
    "masked-lm-next-sentence": ("masked_lm", "next_sentence"),
    "masked-lm": ("masked_lm",),
    "masked-lm-sentence-order": ("masked_lm", "sentence_order"),
    "left-to-right": ("next_token",),
    "two-directional": ("next_token", "previous_token"),
}
BERT_OBJECTIVE = next(iter(OBJECTIVE_HEADS))
_BLOCKS = {
    "transformer": TransformerEncoderBlock,
    "bilstm": BiLSTMBlock,
    "cnn": ConvolutionBlock,
    "bag": BagBlock,
}
_SENTENCE_HEADS = ("next_sentence", "sentence_order")
_ENCODER_INPUTS = ("token_ids", "segment_ids", "padding_mask")
ENCODER_OUTPUTS = ("sequence_output", "pooled_output", "hidden_states", "attention_scores")


def build_encoder(
    config: BertConfig, outputs: tuple[str, ...] = ("sequence_output", "pooled_output")
) -> keras.Model:
    """The BERT encoder.

    Inputs, int32 (batch, sequence): `token_ids`, `segment_ids`, `padding_mask`.
    Outputs, a dict with the names asked for:
        sequence_output: (batch, sequence, hidden), the last block's.
        pooled_output: (batch, hidden).
        hidden_states: num_layers + 1 times (batch, sequence, hidden), the embedding's first.
        attention_scores: num_layers times float32 (batch, heads, query, key).
    """
    unknown = set(outputs) - set(ENCODER_OUTPUTS)
    if unknown or not outputs:
        raise ValueError(f"`outputs` must be some of {ENCODER_OUTPUTS}. Received: {outputs!r}.")
    if "attention_scores" in outputs and config.architecture != "transformer":
        raise ValueError(f"A {config.architecture} encoder has no attention_scores.")
    inputs = encoder_inputs()
    _, hidden_states, attention_scores = _encode(config, inputs, "attention_scores" in outputs)
    results = {
        "sequence_output": hidden_states[-1],
        "hidden_states": hidden_states,
        "attention_scores": attention_scores,
    }
    if "pooled_output" in outputs:
        results["pooled_output"] = _pooled(config, hidden_states[-1], inputs["padding_mask"])
    return keras.Model(inputs, {name: results[name] for name in outputs}, name="encoder")


def build_pretraining_model(
    config: BertConfig, rematerialize: bool = False, objective: str = BERT_OBJECTIVE
) -> keras.Model:
    """BERT with the heads of an objective, by default both of BERT's.

    Inputs: the encoder's, and where a head reads them `mask_positions` (batch, predictions) and
    `cls_positions` (batch, sequences a row), int32.
    Outputs, float32 logits, those of `OBJECTIVE_HEADS[objective]`:
        masked_lm: (batch, predictions, vocabulary).
        next_token, previous_token: (batch, sequence, vocabulary), of the token behind and before
            each position; where both are there, each by the half of the vector that knows it not.
        next_sentence: (batch, sequences a row, 2); class 0: the second text follows the first.
        sentence_order: the same shape; class 0: the texts stand in their order.
    `rematerialize`: of every block; it changes the memory of training, not its results.
    """
    check_choice("objective", objective, OBJECTIVE_HEADS)
    heads = OBJECTIVE_HEADS[objective]
    positions = [("masked_lm", "mask_positions")]
    positions += [(name, "cls_positions") for name in _SENTENCE_HEADS]
    inputs = encoder_inputs() | {
        name: keras.Input((None,), dtype="int32", name=name)
        for head, name in positions
        if head in heads
    }
    embedding, hidden_states, _ = _encode(config, inputs, rematerialize=rematerialize)
    outputs, vocabulary_scores = {}, _vocabulary_head(config, embedding)
    for head in heads:
        if head in _SENTENCE_HEADS:
            pooled = _pooled(
                config, hidden_states[-1], inputs["padding_mask"], inputs["cls_positions"]
            )
            outputs[head] = _classes(config, f"{head}_head")(pooled)
        else:
            # One head for all: it looks at a vector, whichever token is to be said.
            vectors = _known_to(head, hidden_states[-1], config.direction)
            outputs[head] = vocabulary_scores(vectors, inputs.get("mask_positions"))
    return keras.Model(inputs, outputs, name="pretraining")


def masked_lm_alone(model: keras.Model) -> Tensor:
    """`masked_lm` of a pre-training model, symbolic as there, with less work where the last block
    has attention: it computes the positions that are asked for and no others."""
    if not is_transformer(model):
        return model.output["masked_lm"]
    vectors = _last_block_at(model, model.input["mask_positions"])
    transformed = model.get_layer("masked_lm_head")(vectors)
    scores = model.get_layer("embedding")(transformed, reverse=True)
    return model.get_layer("masked_lm_bias")(scores)


def pooled_alone(encoder: keras.Model) -> Tensor:
    """`pooled_output` of an encoder, symbolic as there, with less work where it is [CLS]'s: the
    last block computes no other token."""
    pooler = _cls_pooler(encoder)
    if pooler is None:
        return encoder.output["pooled_output"]
    first = ops.zeros_like(encoder.input["padding_mask"][:, :1])
    return pooler(_last_block_at(encoder, first))


def pooled_at(encoder: keras.Model, cls_positions: Tensor) -> Tensor | None:
    """What `pooled_alone` computes, of each of the sequences that share a row.

    Integers (batch, sequences a row) -> (batch, sequences a row, hidden); None for an encoder
    without a pooler of [CLS].
    """
    pooler = _cls_pooler(encoder)
    return None if pooler is None else pooler.dense(_last_block_at(encoder, cls_positions))


def _cls_pooler(encoder):
    """The pooler of an encoder that looks at [CLS] alone; None where there is none."""
    pooler = next((layer for layer in encoder.layers if isinstance(layer, Pooler)), None)
    return None if isinstance(pooler, SequencePooler) else pooler


def _last_block_at(model, positions):
    """The vectors (batch, n, hidden) at positions (batch, n)."""
    *_, last = (layer for layer in model.layers if isinstance(layer, TransformerEncoderBlock))
    x, padding_mask = last.input
    return last(x, padding_mask, positions=positions)


def attention_scores(model: keras.Model, inputs: Mapping[str, Tensor]) -> list[Tensor]:
    """How much each token looks at each other one in each block of a model with these inputs.

    For a model that is built without such an output. Float32, (batch, heads, query, key) each; none
    of an encoder without attention.
    """
    if not is_transformer(model):
        return []
    position = next((layer for layer in model.layers if layer.name == "position"), None)
    x = model.get_layer("embedding")(*(inputs[name] for name in _ENCODER_INPUTS))
    return _through(blocks(model), position, x, inputs["padding_mask"], with_scores=True)[1]


def empty_memories(model: keras.Model, batch: int, length: int) -> list[Memory]:
    """One for each block of an LM of attention, for rows of `length` tokens."""
    return [block.attention.empty_memory(batch, length) for block in blocks(model)]


def read_on(
    model: keras.Model, token_ids: Tensor, memories: list[Memory]
) -> tuple[Tensor, list[Memory]]:
    """What a left-to-right LM of attention says behind tokens that follow those that it has read.

    Its cost does not depend on how many were read, but for the products with their keys and values.

    Args:
        token_ids: integers (batch, n), the n tokens behind those in the memories.
        memories: of each block.

    Returns the scores of the token behind the last, float32 (batch, vocabulary), and the memories
    of all tokens.
    """
    layers = {layer.name: layer for layer in model.layers}
    embedding, places = layers["embedding"], memories[0].places(ops.shape(token_ids)[1])
    x, read = embedding.at(token_ids, ops.zeros_like(token_ids), places), []
    for block, memory in zip(blocks(model), memories, strict=True):
        if "position" in layers:
            x = layers["position"].at(x, places)
        x, memory = block.after(x, memory)
        read.append(memory)
    scores = embedding(layers["masked_lm_head"](x[:, -1:]), reverse=True)
    return layers["masked_lm_bias"](scores)[:, 0], read


def objective_of(model: keras.Model) -> str | None:
    """What a model was built to be pre-trained for, by its outputs; None for any other model."""
    found = [name for name, heads in OBJECTIVE_HEADS.items() if set(heads) == set(model.output)]
    return found[0] if found else None


def hidden_states(encoder: keras.Model) -> list:
    """The symbolic hidden states of what `build_encoder` built, the embedding's first."""
    return [encoder.get_layer("embedding").output, *(block.output for block in blocks(encoder))]


def is_transformer(encoder: keras.Model) -> bool:
    """Whether tokens see those that carry their number in `padding_mask`, wherever these stand."""
    return all(isinstance(block, TransformerEncoderBlock) for block in blocks(encoder))


def blocks(encoder: keras.Model) -> list[keras.layers.Layer]:
    """The blocks of what `build_encoder` built, from below."""
    return [layer for layer in encoder.layers if layer.name.startswith("block_")]


def summary_kind(encoder: keras.Model) -> str:
    """Where what an encoder knows of its text stands: "cls", "last", "mean", "max", or "ends",
    half of the last token's vector and half of the first's."""
    top = blocks(encoder)[-1]
    [architecture] = (name for name, block in _BLOCKS.items() if type(top) is block)
    return _summary_kind(architecture, top.direction)


def encoder_inputs() -> dict:
    """Symbolic int32 (batch, sequence) inputs of every model that contains the encoder."""
    return {name: keras.Input((None,), dtype="int32", name=name) for name in _ENCODER_INPUTS}


def _encode(config, inputs, with_scores=False, rematerialize=False):
    """-> the embedding layer, num_layers + 1 hidden states, num_layers attention scores."""
    embedding = BertEmbedding(
        vocabulary_size=config.vocabulary_size,
        hidden_dim=config.hidden_dim,
        max_sequence_length=config.max_sequence_length,
        position=config.position if config.adds_positions() else "none",
        num_segments=config.num_segments,
        dropout=config.dropout,
        layer_norm_epsilon=config.layer_norm_epsilon,
        initializer_stddev=config.initializer_stddev,
        name="embedding",
    )
    padding_mask = inputs["padding_mask"]
    x = embedding(inputs["token_ids"], inputs["segment_ids"], padding_mask)
    position = _position_embedding(config) if config.position_at == "every_layer" else None
    layers = _blocks(config, rematerialize)
    return embedding, *_through(layers, position, x, padding_mask, with_scores)


def _through(layers, position, x, padding_mask, with_scores):
    """-> num_layers + 1 hidden states, num_layers attention scores."""
    hidden_states, attention_scores = [x], []
    for block in layers:
        if position is not None:
            x = position(x, padding_mask)
        if with_scores:
            x, scores = block(x, padding_mask, return_attention_scores=True)
            attention_scores.append(scores)
        else:
            x = block(x, padding_mask)
        hidden_states.append(x)
    return hidden_states, attention_scores


def _blocks(config, rematerialize):
    """The layers between embedding and heads, from below."""
    shared = {"direction": config.direction, "dropout": config.dropout}
    others = {
        "activation": config.activation,
        "layer_norm_epsilon": config.layer_norm_epsilon,
        "initializer_stddev": config.initializer_stddev,
    }
    for index, (norm_placement, attention_score) in enumerate(config.block_variants()):
        name = f"block_{index}"
        if config.architecture == "transformer":
            yield TransformerEncoderBlock(
                num_heads=config.num_heads,
                intermediate_dim=config.intermediate_dim,
                attention_dropout=config.attention_dropout,
                attention_score=attention_score,
                rotary=config.position == "rotary",
                norm_placement=norm_placement,
                rematerialize=rematerialize,
                name=name,
                **shared,
                **others,
            )
        elif config.architecture == "bilstm":
            yield BiLSTMBlock(name=name, **shared)
        else:
            block = _BLOCKS[config.architecture]
            yield block(name=name, **shared, **others)


def _position_embedding(config):
    return PositionEmbedding(
        config.position,
        max_sequence_length=config.max_sequence_length,
        initializer_stddev=config.initializer_stddev,
        name="position",
    )


def _vocabulary_head(config, embedding):
    """From vectors, and positions or None, to scores of the vocabulary."""
    head = MaskedLMHead(
        activation=config.activation,
        layer_norm_epsilon=config.layer_norm_epsilon,
        initializer_stddev=config.initializer_stddev,
        name="masked_lm_head",
    )
    bias = VocabularyBias(name="masked_lm_bias")
    return lambda vectors, positions: bias(embedding(head(vectors, positions), reverse=True))


def _known_to(head, vectors, direction):
    """What a head may look at: of directions apart the half that has not read its target."""
    halves = ("next_token", "previous_token")
    if direction != "apart" or head not in halves:
        return vectors
    parts = ops.split(vectors, 2, axis=-1)
    known = [
        x if half == head else ops.zeros_like(x) for x, half in zip(parts, halves, strict=True)
    ]
    return ops.concatenate(known, axis=-1)


def _classes(config, name):
    return keras.layers.Dense(
        2,
        kernel_initializer=initializer(config.initializer_stddev),
        dtype="float32",
        name=name,
    )


def _pooled(config, sequence_output, padding_mask, cls_positions=None):
    """The pooler's vectors."""
    options = {"initializer_stddev": config.initializer_stddev, "name": "pooler"}
    kind = _summary_kind(config.architecture, config.direction)
    if kind == "cls":
        return Pooler(**options)(sequence_output, cls_positions)
    return SequencePooler(kind, **options)(sequence_output, padding_mask, cls_positions)


def _summary_kind(architecture, direction):
    """Of [CLS] where attention has brought it what the others know, of the last token where it
    alone has seen them all."""
    if architecture in ("cnn", "bag"):
        return {"cnn": "max", "bag": "mean"}[architecture]
    if direction == "left":
        return "last"
    return "cls" if architecture == "transformer" else "ends"
