"""Hugging Face directories: round trips without a change, and what does not fit."""

import dataclasses
import json
import shutil

import keras
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from kbert import from_huggingface, to_huggingface
from kbert.checkpoints.weights import model_weights
from kbert.errors import DataError
from tests.checkpoints.published_models import CONFIG, TASKS, assert_same, make
from tests.layers.contract import numpy

KINDS = ("encoder", "pretraining", "task")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("activation", ["gelu_erf", "gelu_tanh", "relu"])
def test_round_trip(tmp_path, kind, activation):
    config = dataclasses.replace(CONFIG, activation=activation, layer_norm_epsilon=1e-7)
    before = make(kind, config)
    to_huggingface(tmp_path, before)
    assert_same(from_huggingface(tmp_path), before)


@pytest.mark.parametrize("name", TASKS)
def test_round_trip_of_a_task(tmp_path, name):
    before = make("task", task=TASKS[name])
    to_huggingface(tmp_path, before)
    assert_same(from_huggingface(tmp_path), before)


def test_a_regression_is_written_in_its_units(tmp_path):
    task = dataclasses.replace(TASKS["regression"], mean=2.5, deviation=1.5)
    before = make("task", task=task)
    to_huggingface(tmp_path, before)
    after = from_huggingface(tmp_path)
    inputs = {name: np.ones((2, 5), "int32") for name in after.model.input}
    found, value = (numpy(c.model(inputs)["value"]) for c in (after, before))
    np.testing.assert_allclose(found, 2.5 + 1.5 * value, atol=1e-5)
    assert (after.task.mean, after.task.deviation) == (0.0, 1.0)


def test_tags_in_another_order(tmp_path):
    """Others number tags as they like; ours are O, B-LOC, I-LOC, B-PER, I-PER."""
    before = make("task", task=TASKS["tagging"])
    to_huggingface(tmp_path, before)
    theirs = ["B-PER", "O", "I-LOC", "I-PER", "B-LOC"]
    order = [before.task.tags.index(tag) for tag in theirs]
    names = ("classifier.weight", "classifier.bias")
    rewrite(tmp_path, lambda a: a | {name: a[name][order] for name in names})
    others = {"label2id": None, "task_specific_params": None}
    change_config(tmp_path, id2label=dict(enumerate(theirs)), **others)
    assert_same(from_huggingface(tmp_path), before)


def test_a_classifier_of_pairs(tmp_path):
    to_huggingface(tmp_path, make("task"))
    assert from_huggingface(tmp_path, second_column="b").task.takes_pairs


def test_what_transformers_has_no_place_for(tmp_path):
    task = dataclasses.replace(TASKS["tagging"], crf=True)
    with pytest.raises(DataError, match="no place for a CRF"):
        to_huggingface(tmp_path, make("task", task=task))


def test_options_of_the_tokenizer(tmp_path):
    from kbert import WordPieceTokenizer

    before = make("encoder")
    tokenizer = WordPieceTokenizer(before.tokenizer.vocabulary, False, True, False)
    to_huggingface(tmp_path, before._replace(tokenizer=tokenizer))
    assert from_huggingface(tmp_path).tokenizer.options == tokenizer.options


@pytest.fixture
def folder(tmp_path):
    to_huggingface(tmp_path / "model", make("pretraining"))
    return tmp_path / "model"


def rewrite(folder, change):
    """Replace the weights by `change(arrays)`."""
    file = folder / "model.safetensors"
    safetensors.numpy.save_file(change(safetensors.numpy.load_file(file)), file)


def change_config(folder, **fields):
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def test_old_names(folder):
    """gamma and beta, no "bert." before the body, and the constants of old versions."""

    def old(arrays):
        renamed = {}
        for name, array in arrays.items():
            name = name.replace("LayerNorm.weight", "LayerNorm.gamma")
            renamed[name.replace("LayerNorm.bias", "LayerNorm.beta").removeprefix("bert.")] = array
        renamed["embeddings.position_ids"] = np.arange(16)[None]
        renamed["cls.predictions.decoder.weight"] = arrays["bert.embeddings.word_embeddings.weight"]
        renamed["cls.predictions.decoder.bias"] = arrays["cls.predictions.bias"]
        return renamed

    rewrite(folder, old)
    assert_same(from_huggingface(folder), make("pretraining"))


def test_shards(folder):
    arrays = safetensors.numpy.load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    homes = {}
    for number, name in enumerate(arrays):
        homes[name] = f"model-0000{number % 3 + 1}-of-00003.safetensors"
    for file in set(homes.values()):
        part = {name: arrays[name] for name, home in homes.items() if home == file}
        safetensors.numpy.save_file(part, folder / file)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": homes}))
    assert_same(from_huggingface(folder), make("pretraining"))
    index.write_text(json.dumps({"weight_map": {"a": "../../elsewhere.safetensors"}}))
    with pytest.raises(DataError, match="must name files beside it"):
        from_huggingface(folder)


@pytest.mark.parametrize("dtype", ["float16", ml_dtypes.bfloat16])
def test_16_bits(folder, dtype):
    before = safetensors.numpy.load_file(folder / "model.safetensors")
    rewrite(folder, lambda arrays: {name: a.astype(dtype) for name, a in arrays.items()})
    table = model_weights(from_huggingface(folder).model)["embedding/token_table"]
    expected = before["bert.embeddings.word_embeddings.weight"].astype(dtype).astype("float32")
    np.testing.assert_array_equal(numpy(table), expected)


def described(pieces):
    """tokenizer.json of `tokenizers` with these pieces."""
    from tokenizers.implementations import BertWordPieceTokenizer

    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    return BertWordPieceTokenizer(vocabulary).to_str()


def cut_vocabulary(folder, count):
    """Leave the first `count` of the 40 pieces that the model has rows for."""
    pieces = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()[:count]
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    return pieces


@pytest.mark.parametrize("alone", [False, True], ids=["vocab.txt", "tokenizer.json"])
def test_rows_rounded_up_to_a_multiple(folder, tmp_path, alone):
    """Such rows keep their weights; no text has their pieces; the round trip is exact."""
    before = from_huggingface(folder)
    pieces = cut_vocabulary(folder, 37)
    if alone:
        (folder / "vocab.txt").unlink()
        (folder / "tokenizer.json").write_text(described(pieces))
    with pytest.warns(UserWarning, match="has 37 pieces and the model 40"):
        after = from_huggingface(folder)
    assert after.tokenizer.vocabulary == [*pieces, "[unused37]", "[unused38]", "[unused39]"]
    for special_tokens in (False, True):
        ids = after.tokenizer(["[unused38] [MASK]"], special_tokens=special_tokens)["token_ids"]
        assert numpy(ids).max() < 37
    assert_same(after, before._replace(tokenizer=after.tokenizer))
    to_huggingface(tmp_path / "again", after)
    assert_same(from_huggingface(tmp_path / "again"), after)


@pytest.mark.parametrize("count", [32, 20])
def test_another_number_of_pieces(folder, count):
    cut_vocabulary(folder, count)
    with pytest.raises(DataError, match=f"must have the 40 pieces of the model. Received: {count}"):
        from_huggingface(folder)


def without(*names):
    return lambda arrays: {name: a for name, a in arrays.items() if not name.startswith(names)}


def changed(name, change):
    return lambda arrays: arrays | {name: change(arrays[name])}


QUERY = "bert.encoder.layer.0.attention.self.query.weight"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without(QUERY), f"{QUERY} is missing"),
        (lambda arrays: arrays | {"bert.more": np.ones(3)}, "bert.more is no weight"),
        (changed(QUERY, lambda a: a[:, :4]), r"must be of shape \(8, 8\), not \(8, 4\)"),
        (changed(QUERY, lambda a: a * np.nan), f"{QUERY} holds NaN or infinity"),
        (changed(QUERY, lambda a: a.astype("int32")), f"{QUERY} must be floats, not int32"),
        (without("cls.seq"), "cls.seq_relationship.weight is missing.*allow_missing_heads"),
        (
            lambda a: a | {"cls.predictions.decoder.weight": a[QUERY]},
            "must be tied to bert.embeddings.word_embeddings.weight",
        ),
    ],
)
def test_weights_that_do_not_fit(folder, change, said):
    rewrite(folder, change)
    with pytest.raises(DataError, match=said):
        from_huggingface(folder)


def test_a_missing_head_may_be_new(folder):
    rewrite(folder, without("cls.seq"))
    with pytest.warns(UserWarning, match="no next_sentence_head: newly initialised"):
        checkpoint = from_huggingface(folder, allow_missing_heads=True)
    names = set(model_weights(checkpoint.model))
    assert names == set(model_weights(make("pretraining").model))
    rewrite(folder, without(QUERY))
    with pytest.raises(DataError, match="is missing"):
        from_huggingface(folder, allow_missing_heads=True)


def test_the_bias_may_be_the_decoders(folder):
    """Of two names for one weight a file may have either."""
    before, names = (
        from_huggingface(folder),
        ("cls.predictions.bias", "cls.predictions.decoder.bias"),
    )
    rewrite(folder, lambda a: without(names[0])(a) | {names[1]: a[names[0]]})
    assert_same(from_huggingface(folder), before)


def test_a_masked_lm_may_have_a_pooler_that_nothing_reads(folder):
    """As transformers before 3.5 wrote it."""
    rewrite(folder, without("cls.seq"))
    change_config(folder, architectures=["BertForMaskedLM"])
    model = from_huggingface(folder).model
    assert set(model.output) == {"masked_lm"}
    assert not any(name.startswith("pooler") for name in model_weights(model))


def test_another_class_of_transformers(folder):
    change_config(folder, architectures=["BertLMHeadModel"])
    with pytest.raises(DataError, match="BertLMHeadModel"):
        from_huggingface(folder)


def test_a_fine_tuned_model_answers_as_before(tmp_path):
    before = make("task")
    to_huggingface(tmp_path, before)
    after = from_huggingface(tmp_path)
    inputs = {name: np.ones((2, 5), "int32") for name in ("token_ids", "segment_ids")}
    inputs["padding_mask"] = np.ones((2, 5), "int32")
    logits = [numpy(checkpoint.model(inputs)["logits"]) for checkpoint in (before, after)]
    np.testing.assert_array_equal(*logits)


def test_a_folder_without_weights(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(DataError, match=r"must have model.safetensors, its shards, or pytorch"):
        from_huggingface(folder)
    shutil.rmtree(folder)
    with pytest.raises(DataError, match="config.json must be a JSON file: No such file"):
        from_huggingface(folder)


def test_weights_are_float32_in_every_precision(precision, folder):
    precision("mixed_bfloat16")
    for weight in from_huggingface(folder).model.weights:
        if "seed_generator" not in weight.path:
            assert keras.backend.standardize_dtype(weight.dtype) == "float32"
