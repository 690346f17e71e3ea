"""Folders of sentence-transformers: every module is computed or refused by name."""

import json
import pathlib
import shutil

import numpy as np
import pytest
import safetensors.numpy

from kbert.checkpoints.huggingface.sentence_transformers import (
    read_encoder,
    read_sentence_transformers,
    write_sentence_transformers,
)
from kbert.checkpoints.sentence_vectors import Dense, LayerNorm, Normalize, Pooling
from kbert.errors import DataError

RNG = np.random.default_rng(0)
KERNEL, BIAS = RNG.normal(size=(4, 3)).astype("float32"), RNG.normal(size=3).astype("float32")
VECTORS = RNG.normal(size=(5, 4)).astype("float32")
MEAN = {"word_embedding_dimension": 4, "pooling_mode_mean_tokens": True}
DENSE = {
    "in_features": 4,
    "out_features": 3,
    "bias": True,
    "activation_function": "torch.nn.modules.activation.Tanh",
}
OLD = "sentence_transformers.models."


def write(file, value):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value))


def folder(path, *modules, pooling=MEAN, encoder=None, **files):
    """A folder with these modules behind the pooling: (name, configuration, arrays)."""
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling")]
    kinds += [(f"{n}_{kind}", kind) for n, (kind, *_) in enumerate(modules, 2)]
    entries = [
        {"idx": n, "name": str(n), "path": path, "type": kind if "." in kind else OLD + kind}
        for n, (path, kind) in enumerate(kinds)
    ]
    write(path / "modules.json", entries)
    write(path / "1_Pooling" / "config.json", pooling)
    for (name, _), (_, fields, arrays) in zip(kinds[2:], modules, strict=True):
        write(path / name / "config.json", fields)
        if arrays:
            safetensors.numpy.save_file(arrays, path / name / "model.safetensors")
    if encoder is not None:
        write(path / "sentence_bert_config.json", encoder)
    for name, value in files.items():
        write(path / f"{name}.json", value)
    return path


def dense(**fields):
    arrays = {"linear.weight": np.ascontiguousarray(KERNEL.T), "linear.bias": BIAS}
    return "Dense", {**DENSE, **fields}, arrays


NORMALIZE = ("Normalize", {}, None)


def test_labse(tmp_path):
    """[CLS], a dense layer with tanh, length 1."""
    pooling = {"word_embedding_dimension": 4, "pooling_mode_cls_token": True}
    pooling |= {"pooling_mode_mean_tokens": False}
    found = read_sentence_transformers(folder(tmp_path, dense(), NORMALIZE, pooling=pooling))
    assert (found.mode, found.normalize, found.width(4)) == ("cls", True, 3)
    expected = np.tanh(VECTORS @ KERNEL + BIAS)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(found.finish(VECTORS), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("fields", "mode"),
    [
        ({}, "mean"),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_mean_sqrt_len_tokens": True}, "mean_sqrt_length"),
        ({"pooling_mode_weightedmean_tokens": True, "include_prompt": True}, "weighted_mean"),
        ({"pooling_mode_lasttoken": True}, "last"),
        # In this order, whatever the file's is.
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}, "cls+mean"),
        ({"pooling_mode": "mean"}, "mean"),
        ({"pooling_mode": "mean_sqrt_len_tokens"}, "mean_sqrt_length"),
        ({"pooling_mode": ["lasttoken", "cls"]}, "last+cls"),
    ],
)
@pytest.mark.parametrize("width", ["word_embedding_dimension", "embedding_dimension"])
def test_modes(tmp_path, fields, mode, width):
    found = read_sentence_transformers(folder(tmp_path, pooling={width: 4, **fields}))
    assert found == Pooling(mode)


def test_names_of_version_5_4(tmp_path):
    names = {
        "Transformer": "sentence_transformers.base.modules.transformer.Transformer",
        "Pooling": "sentence_transformers.sentence_transformer.modules.pooling.Pooling",
        "Normalize": "sentence_transformers.base.modules.normalize.Normalize",
    }
    folder(tmp_path, NORMALIZE, pooling={"embedding_dimension": 4, "pooling_mode": "mean"})
    entries = json.loads((tmp_path / "modules.json").read_text())
    for entry in entries:
        entry["type"] = names[entry["type"].removeprefix(OLD)]
    write(tmp_path / "modules.json", entries)
    assert read_sentence_transformers(tmp_path) == Pooling(normalize=True)


def test_modules_in_any_order(tmp_path):
    norm = {"norm.weight": BIAS, "norm.bias": 2 * BIAS}
    modules = [NORMALIZE, dense(), ("Dropout", {"dropout": 0.1}, None)]
    found = read_sentence_transformers(
        folder(tmp_path, *modules, ("LayerNorm", {"dimension": 3}, norm))
    )
    assert found == Pooling(
        modules=(Normalize(), Dense("tanh", KERNEL, BIAS), LayerNorm(BIAS, 2 * BIAS))
    )
    wide = np.tanh(VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True) @ KERNEL + BIAS)
    deviation = np.sqrt(wide.var(axis=1, keepdims=True) + 1e-5)
    expected = (wide - wide.mean(axis=1, keepdims=True)) / deviation * BIAS + 2 * BIAS
    np.testing.assert_allclose(found.finish(VECTORS), expected, atol=1e-5)


def test_the_encoder(tmp_path):
    assert read_encoder(tmp_path) == (tmp_path, None, False)
    folder(tmp_path, encoder={"max_seq_length": 256, "do_lower_case": True})
    assert read_encoder(tmp_path) == (tmp_path, 256, True)
    assert read_sentence_transformers(tmp_path).sequence_length == 256
    new = {
        "transformer_task": "feature-extraction",
        "modality_config": {
            "text": {"method": "forward", "method_output_name": "last_hidden_state"}
        },
        "module_output_name": "token_embeddings",
        "processing_kwargs": {},
        "unpad_inputs": True,
    }
    assert read_encoder(folder(tmp_path, encoder=new)) == (tmp_path, None, False)
    # Without a length it is the tokenizer's, which has a huge one where it has none.
    positions = {"max_position_embeddings": 512}
    for known, expected in ((128, 128), (10**30, 512), (1e30, 512), (None, None)):
        tokenizer = {"model_max_length": known}
        folder(tmp_path, encoder={}, config=positions, tokenizer_config=tokenizer)
        assert read_encoder(tmp_path).sequence_length == expected


def test_an_encoder_in_a_folder_of_its_own(tmp_path):
    from kbert.checkpoints.formats import format_of

    folder(tmp_path)
    text = (tmp_path / "modules.json").read_text()
    (tmp_path / "modules.json").write_text(text.replace('"path": ""', '"path": "0_Transformer"'))
    assert read_encoder(tmp_path).path == tmp_path / "0_Transformer"
    assert format_of(tmp_path) == "huggingface"


def test_prompts(tmp_path):
    prompts = {"prompts": {"query": "query: "}, "default_prompt_name": None}
    described = {"__version__": {}, "similarity_fn_name": "cosine", **prompts}
    folder(tmp_path, config_sentence_transformers=described)
    assert read_sentence_transformers(tmp_path).prompt == ""
    folder(tmp_path, config_sentence_transformers={**described, "default_prompt_name": "query"})
    assert read_sentence_transformers(tmp_path).prompt == "query: "


REFUSED = [
    (folder, {"pooling": {**MEAN, "pooling_mode": "median"}}, "1_Pooling.*'median'"),
    (folder, {"pooling": {**MEAN, "pooling_mode_median": True}}, "1_Pooling.*pooling_mode_median"),
    (folder, {"pooling": {"pooling_mode": "mean"}}, "1_Pooling.*width of a vector"),
    (folder, {"encoder": {"transformer_task": "fill-mask"}}, "transformer_task"),
    (folder, {"encoder": {"query_length": 32}}, "query_length 32"),
    (folder, {"encoder": {"max_seq_length": "long"}}, "max_seq_length, not 'long'"),
    (
        folder,
        {"config_sentence_transformers": {"model_type": "CrossEncoder"}},
        "config_sentence_transformers.json.*'CrossEncoder'",
    ),
    (
        folder,
        {"config_sentence_transformers": {"prompts": {}, "default_prompt_name": "query"}},
        "default_prompt_name among prompts: 'query'",
    ),
    (
        folder,
        {
            "config_sentence_transformers": {"prompts": {"q": "x"}, "default_prompt_name": "q"},
            "pooling": {**MEAN, "include_prompt": False},
        },
        "include_prompt. Received: False",
    ),
]


@pytest.mark.parametrize(("make", "options", "said"), REFUSED)
def test_options_that_are_refused_by_name(tmp_path, make, options, said):
    with pytest.raises(DataError, match=said):
        read_sentence_transformers(make(tmp_path, **options))


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (("LSTM", {}, None), "modules.json must name modules among Dense.*LSTM"),
        (("WordWeights", {}, None), "WordWeights"),
        (("torch.nn.Linear", {}, None), "classes of sentence_transformers. Received: torch.nn"),
        (dense(activation_function="torch.nn.modules.activation.PReLU"), "2_Dense.*PReLU"),
        (dense(activation_function="my.Tanh"), "2_Dense.*'my.Tanh'"),
        (dense(use_residual=True), "use_residual. Received: True"),
        (dense(module_input_name="token_embeddings"), "module_input_name.*'token_embeddings'"),
        (dense(scale=2), "scale 2"),
        (dense(out_features=7), r"2_Dense.*must hold .*\(7, 4\).*Received: .*\(3, 4\)"),
        (dense(bias=False), "2_Dense.*must hold .*Received: .*linear.bias"),
        (("Dense", DENSE, None), "2_Dense must have model.safetensors"),
        (
            ("Dense", DENSE, {"linear.weight": KERNEL.T * np.nan, "linear.bias": BIAS}),
            "linear.weight holds NaN or infinity",
        ),
        (
            ("Dense", DENSE, {"linear.weight": KERNEL.T.astype("int32"), "linear.bias": BIAS}),
            "linear.weight must be floats, not int32",
        ),
        (("Normalize", {"module_input_name": "token_embeddings"}, None), "'token_embeddings'"),
        (("LayerNorm", {"dimension": 3}, {"norm.weight": BIAS, "norm.bias": BIAS}), "its 4 numb"),
    ],
)
def test_modules_that_are_refused_by_name(tmp_path, module, said):
    kind, fields, arrays = module
    if arrays:
        arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    with pytest.raises(DataError, match=said):
        read_sentence_transformers(folder(tmp_path, (kind, fields, arrays)))


@pytest.mark.parametrize(
    "entries", ["{", "[3]", "[{}]", '[{"path": "../x", "type": "sentence_transformers.A"}]']
)
def test_lists_of_modules_that_make_no_sense(tmp_path, entries):
    (tmp_path / "modules.json").write_text(entries)
    with pytest.raises(DataError, match="modules.json"):
        read_sentence_transformers(tmp_path)


def test_what_comes_first(tmp_path):
    folder(tmp_path)
    entries = json.loads((tmp_path / "modules.json").read_text())
    for some, said in ((entries[1:], "begin with a Transformer"), (entries[:1], "have a Pooling")):
        write(tmp_path / "modules.json", some)
        with pytest.raises(DataError, match=said):
            read_sentence_transformers(tmp_path)


@pytest.mark.parametrize("mode", ["mean", "cls+mean", "mean+cls", "last+weighted_mean+last"])
@pytest.mark.parametrize("normalize", [True, False])
def test_there_and_back(tmp_path, mode, normalize):
    width = 4 * len(mode.split("+"))
    wide = RNG.normal(size=(width, 3)).astype("float32")
    modules = (
        Dense("leaky_relu", wide),
        Normalize(),
        LayerNorm(BIAS, BIAS),
        Dense("linear", wide.T),
    )
    before = Pooling(
        mode, normalize=normalize, modules=modules, prompt="query: ", sequence_length=9
    )
    write(tmp_path / "config.json", {"hidden_size": 4})
    write_sentence_transformers(tmp_path, before)
    after = read_sentence_transformers(tmp_path)
    assert after == before
    vectors = RNG.normal(size=(2, width)).astype("float32")
    np.testing.assert_allclose(after.finish(vectors), before.finish(vectors), rtol=1e-6)
    with pytest.raises(DataError, match="pools the last layer. Received: the layers 0, -1"):
        write_sentence_transformers(tmp_path, Pooling(layers=(0, -1)))


def test_a_folder_of_another_tool(tmp_path):
    assert read_sentence_transformers(tmp_path) is None
    shutil.rmtree(tmp_path)
    assert read_sentence_transformers(pathlib.Path(tmp_path)) is None
