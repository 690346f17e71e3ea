"""config.json of Hugging Face: the architecture of a BERT, read whole, and written."""

import pathlib
from collections.abc import Mapping

from kbert.checkpoints.published_config import (
    POOLER_FIELDS,
    check_understood,
    check_values,
    published_fields,
    read_config,
)
from kbert.config import HUGGINGFACE_ACTIVATIONS, PUBLISHED_NAMES, BertConfig
from kbert.errors import DataError

TOKENIZER_CLASSES = ("BertTokenizer", "BertTokenizerFast")  # BERT's.
# What has one value in a BERT that encodes, if it is said.
_FIXED = {
    "model_type": ("bert",),
    "is_decoder": (False, None),
    "add_cross_attention": (False, None),
    "is_encoder_decoder": (False, None),
    "position_embedding_type": ("absolute", None),
    "tokenizer_class": (*TOKENIZER_CLASSES, None),
    # What sentence-transformers does with the output of a model that scores pairs.
    "sbert_ce_default_activation_function": ("torch.nn.modules.linear.Identity", None),
}
_TASK = {"id2label", "label2id", "num_labels", "problem_type", "task_specific_params"}
# Of training, of generating text, of what a call returns, and who wrote the file by which version.
_WITHOUT_EFFECT = """
    _attn_implementation _attn_implementation_autoset _commit_hash _id2label _name_or_path
    _num_labels attn_implementation base_model_prefix classifier_dropout finetuning_task
    gradient_checkpointing language license model_name model_max_length name name_or_path
    training_args
    dtype torch_dtype torchscript use_bfloat16 transformers_version adapters xla_device
    chunk_size_feed_forward output_attentions output_hidden_states output_past return_dict
    tf_legacy_loss tie_encoder_decoder tie_word_embeddings use_cache use_return_dict
    bos_token_id cls_token_id decoder_start_token_id eos_token_id mask_token_id pad_token_id
    sep_token_id unk_token_id prefix
    bad_words_ids begin_suppress_tokens diversity_penalty do_sample early_stopping
    encoder_no_repeat_ngram_size exponential_decay_length_penalty forced_bos_token_id
    forced_eos_token_id length_penalty max_length min_length no_repeat_ngram_size num_beam_groups
    num_beams num_return_sequences output_scores remove_invalid_values repetition_penalty
    return_dict_in_generate suppress_tokens temperature top_k top_p typical_p
""".split()
_UNDERSTOOD = frozenset(
    [*PUBLISHED_NAMES, *_FIXED, *_TASK, *_WITHOUT_EFFECT, *POOLER_FIELDS]
    + ["architectures", "hidden_act", "embedding_size", "sentence_transformers"]
)
_OUR_ACTIVATIONS = {"gelu_erf": "gelu", "gelu_tanh": "gelu_new", "relu": "relu"}


def read_architecture(
    file: pathlib.Path, fields: Mapping, position: str = "learned"
) -> tuple[BertConfig, str]:
    """The configuration, with positions of this kind, and the class of transformers that the
    weights are of.

    Raises `DataError` for a field that kbert does not know, and a value that no BERT has.
    """
    check_values(file, fields, _FIXED)
    check_understood(file, fields, _UNDERSTOOD)
    check_values(file, fields, {"embedding_size": (fields.get("hidden_size"), None)})
    _check_score(file, fields.get("sentence_transformers"))
    names = fields.get("architectures") or ["BertModel"]
    if not isinstance(names, list) or len(names) != 1:
        raise DataError(f"{file} must name one class in architectures. Received: {names!r}.")
    return read_config(file, fields, HUGGINGFACE_ACTIVATIONS, position), str(names[0])


def config_fields(config: BertConfig, architecture: str, dtype: str) -> dict:
    """What config.json says of a model of transformers' class `architecture`."""
    return {
        "architectures": [architecture],
        "model_type": "bert",
        "dtype": dtype,
        "hidden_act": _OUR_ACTIVATIONS[config.activation],
        "pad_token_id": 0,
        **published_fields(config),
    }


def _check_score(file, fields):
    """Of a model that scores pairs in sentence-transformers: its scores are the logits."""
    if fields is not None and not isinstance(fields, dict):
        raise DataError(f"{file} must have an object as sentence_transformers.")
    fields, place = fields or {}, f"sentence_transformers in {file}"
    check_values(place, fields, {"activation_fn": _FIXED["sbert_ce_default_activation_function"]})
    check_understood(place, fields, ("activation_fn", "version"))
