"""The only place where a BertConfig becomes layers.

Models are plain functional Keras models. They are rebuilt from a config and weights, so the
masked-LM output stays tied to the token table.
"""

from collections.abc import Mapping

import keras
from keras import ops

from kbert.config import BertConfig
from kbert.layers import Tensor
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
}
BERT_OBJECTIVE = next(iter(OBJECTIVE_HEADS))
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
        next_token: (batch, sequence, vocabulary), of the token behind each position.
        next_sentence: (batch, sequences a row, 2); class 0: the second text follows the first.
        sentence_order: the same shape; class 0: the texts stand in their order.
    `rematerialize`: of every block; it changes the memory of training, not its results.
    """
    heads = OBJECTIVE_HEADS[objective]
    positions = [("masked_lm", "mask_positions")]
    positions += [(name, "cls_positions") for name in _SENTENCE_HEADS]
    inputs = encoder_inputs() | {
        name: keras.Input((None,), dtype="int32", name=name)
        for head, name in positions
        if head in heads
    }
    embedding, hidden_states, _ = _encode(config, inputs, rematerialize=rematerialize)
    outputs = {}
    for head in heads:
        if head in _SENTENCE_HEADS:
            pooled = _pooled(
                config, hidden_states[-1], inputs["padding_mask"], inputs["cls_positions"]
            )
            outputs[head] = _classes(config, f"{head}_head")(pooled)
        else:
            # One head for both: it looks at a vector, whichever token is to be said.
            where = inputs.get("mask_positions")
            outputs[head] = _vocabulary_scores(config, embedding, hidden_states[-1], where)
    return keras.Model(inputs, outputs, name="pretraining")


def masked_lm_alone(model: keras.Model) -> Tensor:
    """`masked_lm` of a pre-training model, symbolic as there, with less work: the last block
    computes the positions that are asked for and no others."""
    vectors = _last_block_at(model, model.input["mask_positions"])
    transformed = model.get_layer("masked_lm_head")(vectors)
    scores = model.get_layer("embedding")(transformed, reverse=True)
    return model.get_layer("masked_lm_bias")(scores)


def pooled_alone(encoder: keras.Model) -> Tensor:
    """`pooled_output` of an encoder, symbolic as there, with less work where it is [CLS]'s: the
    last block computes no other token."""
    pooler = encoder.get_layer("pooler")
    if not isinstance(pooler, Pooler) or isinstance(pooler, SequencePooler):
        return encoder.output["pooled_output"]
    first = ops.zeros_like(encoder.input["padding_mask"][:, :1])
    return pooler(_last_block_at(encoder, first))


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
    if not any(isinstance(block, TransformerEncoderBlock) for block in blocks(model)):
        return []
    position = next((layer for layer in model.layers if layer.name == "position"), None)
    x = model.get_layer("embedding")(*(inputs[name] for name in _ENCODER_INPUTS))
    return _through(blocks(model), position, x, inputs["padding_mask"], with_scores=True)[1]


def objective_of(model: keras.Model) -> str | None:
    """What a model was built to be pre-trained for, by its outputs; None for any other model."""
    found = [name for name, heads in OBJECTIVE_HEADS.items() if set(heads) == set(model.output)]
    return found[0] if found else None


def hidden_states(encoder: keras.Model) -> list:
    """The symbolic hidden states of what `build_encoder` built, the embedding's first."""
    return [encoder.get_layer("embedding").output, *(block.output for block in blocks(encoder))]


def blocks(encoder: keras.Model) -> list[keras.layers.Layer]:
    """The blocks of what `build_encoder` built, from below."""
    return [layer for layer in encoder.layers if layer.name.startswith("block_")]


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
            block = {"cnn": ConvolutionBlock, "bag": BagBlock}[config.architecture]
            yield block(name=name, **shared, **others)


def _position_embedding(config):
    return PositionEmbedding(
        config.position,
        max_sequence_length=config.max_sequence_length,
        initializer_stddev=config.initializer_stddev,
        name="position",
    )


def _vocabulary_scores(config, embedding, vectors, positions):
    transformed = MaskedLMHead(
        activation=config.activation,
        layer_norm_epsilon=config.layer_norm_epsilon,
        initializer_stddev=config.initializer_stddev,
        name="masked_lm_head",
    )(vectors, positions)
    return VocabularyBias(name="masked_lm_bias")(embedding(transformed, reverse=True))


def _classes(config, name):
    return keras.layers.Dense(
        2,
        kernel_initializer=initializer(config.initializer_stddev),
        dtype="float32",
        name=name,
    )


def _pooled(config, sequence_output, padding_mask, cls_positions=None):
    """The pooler's vectors: of [CLS] where attention has brought it what the others know, of the
    last token where it alone has seen them all."""
    options = {"initializer_stddev": config.initializer_stddev, "name": "pooler"}
    both = config.direction == "both"
    if config.architecture == "transformer" and both:
        return Pooler(**options)(sequence_output, cls_positions)
    kinds = {"cnn": "max", "bag": "mean", "bilstm": "ends" if both else "last"}
    kind = kinds.get(config.architecture, "last")
    return SequencePooler(kind, **options)(sequence_output, padding_mask, cls_positions)
