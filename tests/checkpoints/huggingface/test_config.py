"""config.json of Hugging Face: read whole."""

import json
import pathlib

import pytest

from kbert import BertConfig
from kbert.checkpoints.huggingface.config import config_fields, read_architecture
from kbert.errors import DataError

FILE = pathlib.Path("config.json")
# What transformers' tool made of Google's Chinese model.
CHINESE = {
    "architectures": ["BertForMaskedLM"],
    "attention_probs_dropout_prob": 0.1,
    "directionality": "bidi",
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 768,
    "initializer_range": 0.02,
    "intermediate_size": 3072,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 512,
    "model_type": "bert",
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "pad_token_id": 0,
    "pooler_fc_size": 768,
    "pooler_num_attention_heads": 12,
    "pooler_num_fc_layers": 3,
    "pooler_size_per_head": 128,
    "pooler_type": "first_token_transform",
    "type_vocab_size": 2,
    "vocab_size": 21128,
}
# What version 4 wrote of every model.
VERBOSE = {
    "_name_or_path": "x",
    "classifier_dropout": None,
    "gradient_checkpointing": False,
    "position_embedding_type": "absolute",
    "transformers_version": "4.36.2",
    "use_cache": True,
    "torch_dtype": "float32",
    "output_past": True,
    "bos_token_id": 0,
    "tie_word_embeddings": True,
    "chunk_size_feed_forward": 0,
    "is_decoder": False,
    "pruned_heads": {},
    "temperature": 1.0,
}


def test_a_published_file():
    expected = BertConfig(21128, activation="gelu_erf"), "BertForMaskedLM"
    assert read_architecture(FILE, CHINESE) == expected
    assert read_architecture(FILE, CHINESE | VERBOSE) == expected


@pytest.mark.parametrize("missing", ["hidden_act", "model_type", "architectures"])
def test_what_is_missing_has_the_default_of_hugging_face(tmp_path, missing):
    fields = {name: value for name, value in CHINESE.items() if name != missing}
    config, architecture = read_architecture(FILE, fields)
    assert config.activation == "gelu_erf"
    assert architecture == ("BertModel" if missing == "architectures" else "BertForMaskedLM")
    (tmp_path / "config.json").write_text(json.dumps(fields))
    assert BertConfig.from_json(tmp_path / "config.json").activation == "gelu_erf"


def test_there_and_back():
    config = BertConfig(9, hidden_dim=24, num_heads=3, dropout=0.2, activation="gelu_tanh")
    fields = json.loads(json.dumps(config_fields(config, "BertModel", "float16")))
    assert read_architecture(FILE, fields) == (config, "BertModel")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"model_type": "roberta"}, "'bert' as model_type. Received: 'roberta'"),
        ({"is_decoder": True}, "as is_decoder. Received: True"),
        ({"add_cross_attention": True}, "as add_cross_attention"),
        ({"position_embedding_type": "relative_key"}, "'relative_key'"),
        ({"tokenizer_class": "BertJapaneseTokenizer"}, "'BertJapaneseTokenizer'"),
        ({"pruned_heads": {"0": [1]}}, "Received: pruned_heads"),
        ({"quantization_config": {"bits": 4}}, "Received: quantization_config"),
        ({"auto_map": {"AutoModel": "modeling.Model"}}, "Received: auto_map"),
        ({"embedding_size": 128}, "768 or None as embedding_size. Received: 128"),
        ({"architectures": ["BertModel", "BertForMaskedLM"]}, "one class in architectures"),
        ({"architectures": "BertModel"}, "one class in architectures"),
        ({"vocab_size": "many"}, "many"),
        ({"num_attention_heads": 5}, "num_heads=5"),
        (
            {"sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Sigmoid"}},
            "sentence_transformers in config.json.*Sigmoid",
        ),
    ],
)
def test_what_is_refused_by_name(fields, said):
    with pytest.raises(DataError, match=said):
        read_architecture(FILE, CHINESE | fields)
