"""Folders shaped as those of public models: what docs/migrating.md says of each is what happens.

The page names the models and the shape of each folder; here each shape is made at small size.
"""

import json
import re

import numpy as np
import pytest
import safetensors.numpy

from kbert import from_huggingface, to_huggingface
from kbert.checkpoints.formats import pooling_of
from kbert.checkpoints.huggingface.sentence_transformers import write_sentence_transformers
from kbert.checkpoints.sentence_vectors import Dense, Pooling
from kbert.errors import DataError
from kbert.models import objective_of
from tests.checkpoints.published_models import CONFIG, TASKS, make
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "migrating.md").read_text(encoding="utf-8")


def change(file, remove=(), **fields):
    values = json.loads(file.read_text()) if file.is_file() else {}
    values = {name: value for name, value in values.items() if name not in remove}
    file.write_text(json.dumps(values | fields))


def rewrite(folder, rename=lambda name: name, drop=""):
    file = folder / "model.safetensors"
    arrays = safetensors.numpy.load_file(file)
    kept = {rename(n): array for n, array in arrays.items() if not (drop and drop in n)}
    safetensors.numpy.save_file(kept, file)


def old_name(name):
    name = name.replace("LayerNorm.weight", "LayerNorm.gamma")
    return name.replace("LayerNorm.bias", "LayerNorm.beta")


def google(folder):
    """Both heads, gamma and beta, and the class of a masked LM alone."""
    to_huggingface(folder, make("pretraining"))
    rewrite(folder, old_name)
    change(folder / "config.json", ("dtype",), architectures=["BertForMaskedLM"])
    change(folder / "config.json", gradient_checkpointing=False, position_embedding_type="absolute")
    tokenizer = {"do_lower_case": True, "model_max_length": 16}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))


def without_class(folder):
    """The first years' files: no class in config.json, no tokenizer_config.json."""
    google(folder)
    change(folder / "config.json", ("architectures",))
    (folder / "tokenizer_config.json").unlink()


def masked_lm(folder):
    """The masked LM's head alone, and no pooler; copies of what is tied."""
    to_huggingface(folder, make("masked-lm"))
    file = folder / "model.safetensors"
    arrays = safetensors.numpy.load_file(file)
    arrays["cls.predictions.decoder.weight"] = arrays["bert.embeddings.word_embeddings.weight"]
    arrays["cls.predictions.decoder.bias"] = arrays["cls.predictions.bias"]
    arrays["bert.embeddings.position_ids"] = np.arange(16)[None]
    safetensors.numpy.save_file(arrays, file)
    (folder / "added_tokens.json").write_text("{}")
    names = {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]"}
    (folder / "special_tokens_map.json").write_text(json.dumps(names))


def mecab(folder):
    google(folder)
    fields = {"tokenizer_class": "BertJapaneseTokenizer", "word_tokenizer_type": "mecab"}
    change(folder / "tokenizer_config.json", **fields)


def roberta(folder):
    google(folder)
    change(folder / "config.json", model_type="roberta", architectures=["RobertaForMaskedLM"])


def fine_tuned(name, **fields):
    def write(folder):
        to_huggingface(folder, make("task", task=TASKS[name]))
        change(folder / "config.json", ("task_specific_params", "problem_type"), **fields)

    return write


def named(*labels):
    return {
        "id2label": {str(number): label for number, label in enumerate(labels)},
        "label2id": {label: number for number, label in enumerate(labels)},
    }


def vectors(pooling, **files):
    def write(folder):
        to_huggingface(folder, make("encoder"))
        write_sentence_transformers(folder, pooling)
        for name, fields in files.items():
            change(folder / f"{name}.json", **fields)

    return write


def prompts(folder):
    vectors(Pooling("cls", sequence_length=16))(folder)
    asked = {"query": "Represent this sentence for searching relevant passages: "}
    described = {"prompts": asked, "default_prompt_name": None, "similarity_fn_name": "cosine"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(described))


def sentencepiece(folder):
    vectors(Pooling(normalize=True))(folder)
    (folder / "vocab.txt").unlink()
    pipeline = {"model": {"type": "Unigram", "unk_id": 3, "vocab": []}, "added_tokens": []}
    (folder / "tokenizer.json").write_text(json.dumps(pipeline))


WIDTH = CONFIG.hidden_dim
KERNEL, BIAS = np.eye(WIDTH, dtype="float32"), np.zeros(WIDTH, "float32")
FIVE = ("1 star", "2 stars", "3 stars", "4 stars", "5 stars")
LOC_PER = ("B-LOC", "B-PER", "I-LOC", "I-PER", "O")
# Shape on the page -> what makes it, and what it is read as; for what is refused, what is said.
SHAPES = {
    "E1": (google, "masked-lm-next-sentence"),
    "E2": (without_class, "masked-lm-next-sentence"),
    "E3": (masked_lm, "masked-lm"),
    "E4": (mecab, "refused: tokenizer_config.json"),
    "E5": (roberta, "refused: model_type"),
    "T1": (
        fine_tuned("classification", **named("negative", "neutral", "positive")),
        "classification",
    ),
    "T2": (
        fine_tuned("classification", **named("LABEL_0", "LABEL_1", "LABEL_2")),
        "classification",
    ),
    "T3": (
        fine_tuned("multilabel", **named("a", "b"), problem_type="multi_label_classification"),
        "multilabel",
    ),
    "T4": (fine_tuned("tagging", **named(*LOC_PER)), "tagging"),
    "T5": (fine_tuned("tagging", **named("O", "B-LOC", "I-LOC", "I-PER", "B-PER")), "tagging"),
    "T6": (fine_tuned("tagging", **named("ADJ", "NOUN", "VERB", "DET", "PUNCT")), "tagging"),
    "T7": (fine_tuned("qa"), "qa"),
    "T8": (fine_tuned("regression", **named("LABEL_0")), "regression"),
    "V1": (vectors(Pooling(normalize=True, sequence_length=16)), "vectors"),
    "V2": (vectors(Pooling(sequence_length=16)), "vectors"),
    "V3": (vectors(Pooling("cls", normalize=True, sequence_length=16)), "vectors"),
    "V4": (
        vectors(Pooling("cls", normalize=True, modules=(Dense("tanh", KERNEL, BIAS),))),
        "vectors",
    ),
    "V5": (prompts, "vectors"),
    "V6": (sentencepiece, "refused: tokenizer.json"),
}


def rows():
    """(name, shape) of each model on the page."""
    return [
        (name, shape)
        for names, shape in re.findall(r"^\| (`[^|]*) \| ([ETV]\d) ", PAGE, re.MULTILINE)
        for name in re.findall("`([^`]+)`", names)
    ]


def found_in(folder):
    model, _, _, task = from_huggingface(folder)
    if pooling_of(folder) is not None:
        return "vectors"
    return objective_of(model) if task is None else task.name


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_is_read_as_the_page_says(tmp_path, shape):
    write, expected = SHAPES[shape]
    write(tmp_path / "model")
    if not expected.startswith("refused"):
        assert found_in(tmp_path / "model") == expected
        return
    with pytest.raises(DataError, match=expected.removeprefix("refused: ")):
        from_huggingface(tmp_path / "model")


def test_the_page_names_twenty_of_each_kind():
    names = rows()
    assert {shape for _, shape in names} == set(SHAPES)
    assert len({name for name, _ in names}) == len(names)
    for kind in "ETV":
        assert sum(shape[0] == kind for _, shape in names) >= 20
