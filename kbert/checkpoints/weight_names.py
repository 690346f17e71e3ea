"""One weight, four names: ours, Google's, Hugging Face's and keras-hub's.

All formats hold the same numbers. They differ in names, in the axes of some kernels, and in that
ours keeps query, key and value in one kernel.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from kbert.config import BertConfig


class Names(NamedTuple):
    """The names of one weight. `google_tf2` are its paths in object-based checkpoints of
    tensorflow/models, of which the first that a file has counts; `keras_hub` is its path in
    `BertBackbone`, or None if it has no such weight. `third`: query, key and value are the thirds
    of the last axis of ours.
    """

    ours: str
    google: str
    google_tf2: tuple[str, ...]
    huggingface: str
    keras_hub: str | None
    third: int | None = None


# The layers of tensorflow/models' encoder are its attributes; in 2020's they only have numbers.
def _tf2_encoder(*ends: str) -> tuple[str, ...]:
    return tuple(f"encoder/{end}" for end in ends)


def _tf2_block(*ends: str) -> tuple[str, ...]:
    blocks = ("_transformer_layers/{i}", "layer_with_weights-{i+4}")
    return _tf2_encoder(*(f"{block}/{end}" for block in blocks for end in ends))


_EMBEDDING = (
    Names(
        "embedding/token_table",
        "bert/embeddings/word_embeddings",
        _tf2_encoder("_embedding_layer/embeddings", "layer_with_weights-0/embeddings"),
        "bert.embeddings.word_embeddings.weight",
        "token_embedding/embeddings",
    ),
    Names(
        "embedding/position_table",
        "bert/embeddings/position_embeddings",
        _tf2_encoder("_position_embedding_layer/embeddings", "layer_with_weights-1/embeddings"),
        "bert.embeddings.position_embeddings.weight",
        "position_embedding/embeddings",
    ),
    Names(
        "embedding/segment_table",
        "bert/embeddings/token_type_embeddings",
        _tf2_encoder("_type_embedding_layer/embeddings", "layer_with_weights-2/embeddings"),
        "bert.embeddings.token_type_embeddings.weight",
        "segment_embedding/embeddings",
    ),
)

# Layers of two weights: kernel and bias, or gamma and beta. In a block, {i} is its number.
_EMBEDDING_NORM = Names(
    "embedding/norm",
    "bert/embeddings/LayerNorm",
    _tf2_encoder("_embedding_norm_layer", "layer_with_weights-3"),
    "bert.embeddings.LayerNorm",
    "embeddings_layer_norm",
)
_ATTENTION = tuple(
    Names(
        "block_{i}/attention/query_key_value",
        f"bert/encoder/layer_{{i}}/attention/self/{part}",
        _tf2_block(f"_attention_layer/_{part}_dense"),
        f"bert.encoder.layer.{{i}}.attention.self.{part}",
        f"transformer_layer_{{i}}/self_attention_layer/{part}",
        third,
    )
    for third, part in enumerate(("query", "key", "value"))
)
_BLOCK = (
    Names(
        "block_{i}/attention/output_projection",
        "bert/encoder/layer_{i}/attention/output/dense",
        # The second is of 2020's releases.
        _tf2_block("_attention_layer/_output_dense", "_attention_output_dense"),
        "bert.encoder.layer.{i}.attention.output.dense",
        "transformer_layer_{i}/self_attention_layer/attention_output",
    ),
    Names(
        "block_{i}/intermediate",
        "bert/encoder/layer_{i}/intermediate/dense",
        _tf2_block("_intermediate_dense"),
        "bert.encoder.layer.{i}.intermediate.dense",
        "transformer_layer_{i}/feedforward_intermediate_dense",
    ),
    Names(
        "block_{i}/output",
        "bert/encoder/layer_{i}/output/dense",
        _tf2_block("_output_dense"),
        "bert.encoder.layer.{i}.output.dense",
        "transformer_layer_{i}/feedforward_output_dense",
    ),
)
_BLOCK_NORMS = (
    Names(
        "block_{i}/attention_norm",
        "bert/encoder/layer_{i}/attention/output/LayerNorm",
        _tf2_block("_attention_layer_norm"),
        "bert.encoder.layer.{i}.attention.output.LayerNorm",
        "transformer_layer_{i}/self_attention_layer_norm",
    ),
    Names(
        "block_{i}/output_norm",
        "bert/encoder/layer_{i}/output/LayerNorm",
        _tf2_block("_output_layer_norm"),
        "bert.encoder.layer.{i}.output.LayerNorm",
        "transformer_layer_{i}/feedforward_layer_norm",
    ),
)
_POOLER = Names(
    "pooler/dense",
    "bert/pooler/dense",
    # The head's own if there is one: only that has been trained then.
    (
        "next_sentence.pooler_dense",
        "next_sentence/dense",
        *_tf2_encoder("_pooler_layer", "layer_with_weights-{layers+4}"),
    ),
    "bert.pooler.dense",
    "pooled_dense",
)
_MASKED_LM = (
    Names(
        "masked_lm_head/dense",
        "cls/predictions/transform/dense",
        ("masked_lm/dense",),
        "cls.predictions.transform.dense",
        None,
    ),
)
_MASKED_LM_NORM = Names(
    "masked_lm_head/norm",
    "cls/predictions/transform/LayerNorm",
    ("masked_lm/layer_norm",),
    "cls.predictions.transform.LayerNorm",
    None,
)
_HEADS = (
    Names(
        "masked_lm_bias/bias",
        "cls/predictions/output_bias",
        ("masked_lm/bias",),
        "cls.predictions.bias",
        None,
    ),
    Names(
        "next_sentence_head/kernel",
        "cls/seq_relationship/output_weights",
        ("next_sentence/out_proj/kernel", "next_sentence/layer_with_weights-0/kernel"),
        "cls.seq_relationship.weight",
        None,
    ),
    Names(
        "next_sentence_head/bias",
        "cls/seq_relationship/output_bias",
        ("next_sentence/out_proj/bias", "next_sentence/layer_with_weights-0/bias"),
        "cls.seq_relationship.bias",
        None,
    ),
)


def all_names(config: BertConfig) -> list[Names]:
    """The names of every weight of an encoder with its pooler and both pre-training heads."""
    layers = {"layers+4": str(config.num_layers + 4)}
    names = [*_EMBEDDING, *_norm(_EMBEDDING_NORM)]
    for index in range(config.num_layers):
        numbers = {"i+4": str(index + 4), "i": str(index)}
        block = [name for layer in (*_ATTENTION, *_BLOCK) for name in _dense(layer)]
        block += [name for layer in _BLOCK_NORMS for name in _norm(layer)]
        names += [_numbered(name, numbers) for name in block]
    names += [_numbered(name, layers) for name in _dense(_POOLER)]
    names += [name for layer in _MASKED_LM for name in _dense(layer)]
    return [*names, *_norm(_MASKED_LM_NORM), *_HEADS]


def _dense(layer: Names) -> Iterator[Names]:
    for ours, huggingface in (("/kernel", ".weight"), ("/bias", ".bias")):
        yield _extended(layer, ours, huggingface)


def _norm(layer: Names) -> Iterator[Names]:
    for ours, huggingface in (("/gamma", ".weight"), ("/beta", ".bias")):
        yield _extended(layer, ours, huggingface)


def _extended(layer: Names, end: str, huggingface_end: str) -> Names:
    huggingface = layer.huggingface + huggingface_end
    return _edited(layer, lambda path: path + end)._replace(huggingface=huggingface)


def _numbered(names: Names, numbers: dict[str, str]) -> Names:
    def fill(path):
        for key, number in numbers.items():
            path = path.replace(f"{{{key}}}", number)
        return path

    return _edited(names, fill)


def _edited(names: Names, edit: Callable[[str], str]) -> Names:
    """With every path edited."""
    return Names(
        edit(names.ours),
        edit(names.google),
        tuple(map(edit, names.google_tf2)),
        edit(names.huggingface),
        names.keras_hub and edit(names.keras_hub),
        names.third,
    )
