"""One weight, four names: ours, Google's, Hugging Face's and keras-hub's.

All formats hold the same numbers. They differ in names, in the axes of some kernels, and in that
ours keeps query, key and value in one kernel.
"""

from collections.abc import Iterator
from typing import NamedTuple

from kbert.config import BertConfig


class Names(NamedTuple):
    """The names of one weight. `google_tf2` is its path in an object-based checkpoint of
    tensorflow/models, `keras_hub` its path in `BertBackbone`; None where a format has no such
    weight. `third`: query, key and value are the thirds of the last axis of ours.
    """

    ours: str
    google: str | None
    google_tf2: str | None
    huggingface: str
    keras_hub: str | None
    third: int | None = None


_EMBEDDING = (
    Names(
        "embedding/token_table",
        "bert/embeddings/word_embeddings",
        "encoder/layer_with_weights-0/embeddings",
        "bert.embeddings.word_embeddings.weight",
        "token_embedding/embeddings",
    ),
    Names(
        "embedding/position_table",
        "bert/embeddings/position_embeddings",
        "encoder/layer_with_weights-1/embeddings",
        "bert.embeddings.position_embeddings.weight",
        "position_embedding/embeddings",
    ),
    Names(
        "embedding/segment_table",
        "bert/embeddings/token_type_embeddings",
        "encoder/layer_with_weights-2/embeddings",
        "bert.embeddings.token_type_embeddings.weight",
        "segment_embedding/embeddings",
    ),
)

# Layers of two weights: kernel and bias, or gamma and beta. In a block, {i} is its number.
_EMBEDDING_NORM = Names(
    "embedding/norm",
    "bert/embeddings/LayerNorm",
    "encoder/layer_with_weights-3",
    "bert.embeddings.LayerNorm",
    "embeddings_layer_norm",
)
_ATTENTION = tuple(
    Names(
        "block_{i}/attention/query_key_value",
        f"bert/encoder/layer_{{i}}/attention/self/{part}",
        f"encoder/layer_with_weights-{{i+4}}/_attention_layer/_{part}_dense",
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
        "encoder/layer_with_weights-{i+4}/_attention_layer/_output_dense",
        "bert.encoder.layer.{i}.attention.output.dense",
        "transformer_layer_{i}/self_attention_layer/attention_output",
    ),
    Names(
        "block_{i}/intermediate",
        "bert/encoder/layer_{i}/intermediate/dense",
        "encoder/layer_with_weights-{i+4}/_intermediate_dense",
        "bert.encoder.layer.{i}.intermediate.dense",
        "transformer_layer_{i}/feedforward_intermediate_dense",
    ),
    Names(
        "block_{i}/output",
        "bert/encoder/layer_{i}/output/dense",
        "encoder/layer_with_weights-{i+4}/_output_dense",
        "bert.encoder.layer.{i}.output.dense",
        "transformer_layer_{i}/feedforward_output_dense",
    ),
)
_BLOCK_NORMS = (
    Names(
        "block_{i}/attention_norm",
        "bert/encoder/layer_{i}/attention/output/LayerNorm",
        "encoder/layer_with_weights-{i+4}/_attention_layer_norm",
        "bert.encoder.layer.{i}.attention.output.LayerNorm",
        "transformer_layer_{i}/self_attention_layer_norm",
    ),
    Names(
        "block_{i}/output_norm",
        "bert/encoder/layer_{i}/output/LayerNorm",
        "encoder/layer_with_weights-{i+4}/_output_layer_norm",
        "bert.encoder.layer.{i}.output.LayerNorm",
        "transformer_layer_{i}/feedforward_layer_norm",
    ),
)
_POOLER = Names(
    "pooler/dense",
    "bert/pooler/dense",
    "encoder/layer_with_weights-{layers+4}",
    "bert.pooler.dense",
    "pooled_dense",
)
_MASKED_LM = (
    Names(
        "masked_lm_head/dense",
        "cls/predictions/transform/dense",
        "masked_lm/dense",
        "cls.predictions.transform.dense",
        None,
    ),
)
_MASKED_LM_NORM = Names(
    "masked_lm_head/norm",
    "cls/predictions/transform/LayerNorm",
    "masked_lm/layer_norm",
    "cls.predictions.transform.LayerNorm",
    None,
)
_HEADS = (
    Names(
        "masked_lm_bias/bias",
        "cls/predictions/output_bias",
        "masked_lm/bias",
        "cls.predictions.bias",
        None,
    ),
    Names(
        "next_sentence_head/kernel",
        "cls/seq_relationship/output_weights",
        None,
        "cls.seq_relationship.weight",
        None,
    ),
    Names(
        "next_sentence_head/bias",
        "cls/seq_relationship/output_bias",
        None,
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


def _extended(layer, end, huggingface_end):
    ends = (end, end, end, huggingface_end, end)
    paths = (path and path + tail for path, tail in zip(layer[:5], ends, strict=True))
    return Names(*paths, layer.third)


def _numbered(names, numbers):
    def fill(path):
        for key, number in numbers.items():
            path = path and path.replace(f"{{{key}}}", number)
        return path

    return Names(*map(fill, names[:5]), names.third)
