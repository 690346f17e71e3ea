"""Which format a folder has, and what is said of one that has none."""

import dataclasses
import json

import pytest

from kbert.checkpoints.formats import FORMATS, format_of, pooling_of, pooling_writer, writer
from kbert.config import Variants
from kbert.errors import DataError
from tests.checkpoints.published_models import make


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"config.json": {"format": 1}}, "kbert"),
        ({"config.json": {"model_type": "bert"}}, "huggingface"),
        ({"config.json": {"vocab_size": 9}}, "huggingface"),
        ({"modules.json": []}, "huggingface"),
        ({"config.json": {"class_name": "BertBackbone"}}, "keras-hub"),
        ({"bert_config.json": {}}, "google"),
        ({"bert_config.json": {}, "config.json": {}, "bert_model.ckpt.index": {}}, "google"),
        # Older tools kept Google's description beside Hugging Face's.
        ({"bert_config.json": {}, "config.json": {"model_type": "bert"}}, "huggingface"),
    ],
)
def test_format_of(tmp_path, files, expected):
    for name, value in files.items():
        (tmp_path / name).write_text(json.dumps(value))
    assert format_of(tmp_path) == expected


def test_what_is_no_folder_with_a_bert(tmp_path):
    with pytest.raises(DataError, match="There is no folder .*nope"):
        format_of(tmp_path / "nope")
    with pytest.raises(DataError, match="must be a folder with a BERT: config.json"):
        format_of(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="must be a folder with a BERT. Received: a file"):
        format_of(tmp_path / "file")


def test_a_model_further_in_is_named(tmp_path):
    """As of a run that has not ended, the youngest save; or a model in a folder with its card."""
    for name in ("steps/00000500", "steps/00001000"):
        (tmp_path / "run" / name).mkdir(parents=True)
        (tmp_path / "run" / name / "config.json").write_text("{}")
    with pytest.raises(DataError, match="There is one in .*run/steps/00001000.$"):
        format_of(tmp_path / "run")
    (tmp_path / "export" / "1" / "assets").mkdir(parents=True)
    (tmp_path / "export" / "1" / "assets" / "config.json").write_text("{}")
    with pytest.raises(DataError, match="config.json .Google.\\.$"):
        format_of(tmp_path / "export")


def test_poolings(tmp_path):
    (tmp_path / "bert_config.json").write_text("{}")
    assert pooling_of(tmp_path) is None
    for name in FORMATS:
        if name in ("kbert", "huggingface"):
            assert callable(pooling_writer(name))
        else:
            with pytest.raises(DataError, match=f"The format {name} has no place.*--encoder-only"):
                pooling_writer(name)


DEPARTURES = [
    ("architecture", "bilstm"),
    ("attention_score", "dot"),
    ("direction", "left"),
    ("norm_placement", "pre"),
    ("position", "rotary"),
    ("position_at", "every_layer"),
    ("activation", "geglu"),
]


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "kbert"])
def test_others_refuse_by_name_what_departs_from_bert(name, tmp_path):
    assert {field.name for field in dataclasses.fields(Variants)} < {name for name, _ in DEPARTURES}
    checkpoint = make("encoder")
    for field, value in DEPARTURES:
        if (name, value) == ("huggingface", "rotary"):
            continue  # transformers' RoFormer is this model (huggingface/test_roformer.py).
        changed = dataclasses.replace(checkpoint.config, **{field: value})
        with pytest.raises(DataError, match=f"has no place for {field} {value}"):
            writer(name)(tmp_path / "x", checkpoint._replace(config=changed))
    assert not (tmp_path / "x").exists()
