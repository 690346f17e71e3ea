"""Folders of sentence-transformers in and out: a BERT, and what makes a vector of a text.

modules.json                      the modules in order, with the folder and the class of each
sentence_bert_config.json         of the first, the encoder: how long a text may be, its case
1_Pooling/config.json             how tokens become one vector
2_Dense/, 2_Normalize/ ...        what follows, with weights where it has some
config_sentence_transformers.json prompts

Every file is read whole: what kbert does not compute is refused by name.
"""

import json
import os
import pathlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from kbert.checkpoints.huggingface.weights import open_weights
from kbert.checkpoints.published_config import check_understood, check_values
from kbert.checkpoints.sentence_vectors import Dense, LayerNorm, Module, Normalize, Pooling
from kbert.checkpoints.weights import write_arrays
from kbert.errors import DataError
from kbert.files import JSON_ERRORS, read_object, write_json

# Their modes -> ours, in the order in which they stand where a file has a switch for each.
_MODES = {
    "cls": "cls",
    "max": "max",
    "mean": "mean",
    "mean_sqrt_len_tokens": "mean_sqrt_length",
    "weightedmean": "weighted_mean",
    "lasttoken": "last",
}
_SWITCHES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_TORCH = "torch.nn.modules.activation."
_IDENTITY = "torch.nn.modules.linear.Identity"
# Classes of torch, without arguments -> ours.
_ACTIVATIONS = {
    "CELU": "celu",
    "ELU": "elu",
    "GELU": "gelu",
    "Hardshrink": "hard_shrink",
    "Hardsigmoid": "hard_sigmoid",
    "Hardswish": "hard_silu",
    "Hardtanh": "hard_tanh",
    "Identity": "linear",
    "LeakyReLU": "leaky_relu",
    "LogSigmoid": "log_sigmoid",
    "Mish": "mish",
    "ReLU": "relu",
    "ReLU6": "relu6",
    "SELU": "selu",
    "Sigmoid": "sigmoid",
    "SiLU": "silu",
    "Softplus": "softplus",
    "Softshrink": "soft_shrink",
    "Softsign": "softsign",
    "Tanh": "tanh",
    "Tanhshrink": "tanh_shrink",
}
_VECTOR = ("sentence_embedding", None)
_OLD = "sentence_transformers.models."


class Encoder(NamedTuple):
    """The first module: the folder of the BERT, how long a text may be, whether the texts are
    lower-cased before a cased tokenizer."""

    path: pathlib.Path
    sequence_length: int | None = None
    lowercase: bool = False


def read_encoder(path: pathlib.Path) -> Encoder:
    """Where the BERT of a folder is, and how sentence-transformers calls it; for a folder of
    another tool the folder itself. Raises `DataError` for what is not understood, by name."""
    modules = _modules(path)
    if modules and modules[0][0] != "Transformer":
        raise DataError(
            f"{path / 'modules.json'} must begin with a Transformer. Received: {modules[0][0]}."
        )
    path = modules[0][1] if modules else path
    file = path / "sentence_bert_config.json"
    fields = read_object(file) if file.is_file() else {}
    fixed = {
        "transformer_task": ("feature-extraction", None),
        "module_output_name": ("token_embeddings", None),
        "modality_config": (
            {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
            None,
        ),
        "do_lower_case": (False, True),
    }
    check_values(file, fields, fixed)
    # How the same is computed.
    understood = {*fixed, "max_seq_length", "unpad_inputs"}
    check_understood(file, fields, understood)
    length = fields.get("max_seq_length")
    if length is None and modules:
        length = _inferred_length(path)
    if length is not None and (type(length) is not int or length < 3):
        raise DataError(f"{file} must have 3 tokens or more as max_seq_length, not {length!r}.")
    return Encoder(path, length, fields.get("do_lower_case", False))


def _inferred_length(path: pathlib.Path) -> int | None:
    """How long a text may be where sentence-transformers is not told: what tokenizer and model
    both take."""
    found = []
    for name, key in (
        ("tokenizer_config.json", "model_max_length"),  # 1e30 where there is none.
        ("config.json", "max_position_embeddings"),
    ):
        value = read_object(path / name).get(key) if (path / name).is_file() else None
        if not isinstance(value, int | float):
            return None
        found.append(value)
    return int(min(found))


def read_sentence_transformers(path: str | os.PathLike) -> Pooling | None:
    """The pooling and what follows it; None in a folder of another tool.

    Raises `DataError` for a module, an option or a combination that kbert does not compute.
    """
    path = pathlib.Path(path)
    modules = _modules(path)
    if not modules:
        return None
    encoder = read_encoder(path)
    file = path / "modules.json"
    kinds = [kind for kind, _ in modules]
    if kinds[1:2] != ["Pooling"]:
        raise DataError(f"{file} must have a Pooling behind the Transformer. Received: {kinds}.")
    prompt = _prompt(path / "config_sentence_transformers.json")
    mode, width = _mode(modules[1][1] / "config.json", prompt)
    made: list[Module] = []
    for kind, folder in modules[2:]:
        if kind not in _READERS:
            raise DataError(
                f"{file} must name modules among {', '.join(_READERS)}. Received: {kind}."
            )
        made += _READERS[kind](folder)
    normalize = bool(made) and isinstance(made[-1], Normalize)
    pooling = Pooling(
        mode,
        normalize=normalize,
        modules=tuple(made[:-1] if normalize else made),
        prompt=prompt,
        sequence_length=encoder.sequence_length,
    )
    pooling.check_fits(width)
    return pooling


def write_sentence_transformers(path: str | os.PathLike, pooling: Pooling) -> None:
    """Write what makes vectors of the BERT whose Hugging Face directory is `path`.

    Raises `DataError` for layers but the last, which sentence-transformers has no place for.
    """
    path = pathlib.Path(path)
    _check_holds(pooling)
    hidden_dim = read_object(path / "config.json")["hidden_size"]
    kinds = {Dense: "Dense", LayerNorm: "LayerNorm", Normalize: "Normalize"}
    following = [*pooling.modules, *([Normalize()] if pooling.normalize else [])]
    modules = [("", "Transformer"), ("1_Pooling", "Pooling")]
    modules += [(f"{n}_{kinds[type(m)]}", kinds[type(m)]) for n, m in enumerate(following, 2)]
    for (folder, _), module in zip(modules[2:], following, strict=True):
        (path / folder).mkdir(exist_ok=True)
        _write_module(path / folder, module)
    (path / "1_Pooling").mkdir(exist_ok=True)
    write_json(path / "1_Pooling" / "config.json", _pooling_fields(pooling, hidden_dim))
    length = {"max_seq_length": pooling.sequence_length, "do_lower_case": False}
    write_json(path / "sentence_bert_config.json", length)
    prompts = {"default": pooling.prompt} if pooling.prompt else {}
    described = {"prompts": prompts, "default_prompt_name": "default" if prompts else None}
    write_json(path / "config_sentence_transformers.json", described)
    entries = [
        {"idx": number, "name": str(number), "path": folder, "type": f"{_OLD}{kind}"}
        for number, (folder, kind) in enumerate(modules)
    ]
    write_json(path / "modules.json", entries)


def _check_holds(pooling: Pooling) -> None:
    """Raise `DataError` for a pooling that sentence-transformers has no place for."""
    if pooling.layers != (-1,):
        raise DataError(
            "sentence-transformers pools the last layer. "
            f"Received: the layers {', '.join(map(str, pooling.layers))}."
        )


def _modules(path: pathlib.Path) -> list[tuple[str, pathlib.Path]]:
    """The class and the folder of each module; none in a folder of another tool."""
    file = path / "modules.json"
    if not file.is_file():
        return []
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
        modules = [(str(entry["type"]), str(entry["path"])) for entry in entries]
    except (*JSON_ERRORS, TypeError, KeyError) as error:
        raise DataError(f"{file} must list modules with path and type: {error!r}.") from error
    for entry in entries:
        check_understood(file, entry, ("idx", "name", "path", "type", "kwargs"))
    for kind, folder in modules:
        if not kind.startswith("sentence_transformers."):
            raise DataError(f"{file} must name classes of sentence_transformers. Received: {kind}.")
        if pathlib.PurePosixPath(folder).is_absolute() or ".." in folder.split("/"):
            raise DataError(f"{file} must name folders in its own. Received: {folder}.")
    return [(kind.rpartition(".")[2], path / folder) for kind, folder in modules]


def _prompt(file: pathlib.Path) -> str:
    """The prompt that is put before every text if nothing is asked for."""
    fields = read_object(file) if file.is_file() else {}
    check_values(file, fields, {"model_type": ("SentenceTransformer", None)})
    # The similarity is chosen by who compares vectors.
    known = ("__version__", "prompts", "default_prompt_name", "similarity_fn_name", "model_type")
    check_understood(file, fields, known)
    name, prompts = fields.get("default_prompt_name"), fields.get("prompts") or {}
    if name is None:
        return ""
    if not isinstance(prompts, dict) or not isinstance(prompts.get(str(name)), str):
        raise DataError(f"{file} must have its default_prompt_name among prompts: {name!r}.")
    return prompts[str(name)]


def _mode(file: pathlib.Path, prompt: str) -> tuple[str, int]:
    """Our mode, and the width of a token's vector."""
    fields = read_object(file)
    widths = ("word_embedding_dimension", "embedding_dimension")
    check_understood(file, fields, {*_SWITCHES, *widths, "pooling_mode", "include_prompt"})
    check_values(file, fields, {name: (True, False, None) for name in _SWITCHES})
    if prompt:
        check_values(file, fields, {"include_prompt": (True, None)})
    modes = fields.get("pooling_mode")
    if modes is None:
        modes = [mode for name, mode in _SWITCHES.items() if fields.get(name)] or ["mean"]
    modes = [modes] if isinstance(modes, str) else modes
    if not isinstance(modes, list) or not modes or not set(map(str, modes)) <= set(_MODES):
        raise DataError(
            f"{file} must have modes among {', '.join(_MODES)} as pooling_mode. "
            f"Received: {modes!r}."
        )
    width = next((fields[name] for name in widths if name in fields), None)
    if type(width) is not int or width < 1:
        raise DataError(f"{file} must have the width of a vector. Received: {width!r}.")
    return "+".join(_MODES[mode] for mode in modes), width


def _pooling_fields(pooling: Pooling, width: int) -> dict:
    """In the form that every version reads, if it can hold the modes."""
    theirs = {ours: name for name, ours in _MODES.items()}
    modes = [theirs[mode] for mode in pooling.modes]
    if modes != [mode for mode in _SWITCHES.values() if mode in modes]:
        return {"embedding_dimension": width, "pooling_mode": modes, "include_prompt": True}
    switches = {name: mode in modes for name, mode in _SWITCHES.items()}
    return {"word_embedding_dimension": width, **switches, "include_prompt": True}


def _dense(folder: pathlib.Path) -> list[Module]:
    file = folder / "config.json"
    fields = read_object(file)
    name = fields.get("activation_function", f"{_TORCH}Tanh")
    kind = str(name).rpartition(".")[2]
    if not str(name).startswith("torch.nn.") or kind not in _ACTIVATIONS:
        raise DataError(
            f"{file} must have one of torch's {', '.join(_ACTIVATIONS)} as activation_function. "
            f"Received: {name!r}."
        )
    fixed = {"module_input_name": _VECTOR, "module_output_name": _VECTOR}
    fixed |= {"use_residual": (False, None), "bias": (True, False)}
    check_values(file, fields, fixed)
    sizes = ("in_features", "out_features")
    check_understood(file, fields, {*fixed, *sizes, "activation_function"})
    inner, outer = (fields.get(size) for size in sizes)
    shapes = {"linear.weight": (outer, inner)}
    if fields.get("bias", True):
        shapes["linear.bias"] = (outer,)
    arrays = _arrays(folder, shapes)
    return [Dense(_ACTIVATIONS[kind], arrays["linear.weight"].T, arrays.get("linear.bias"))]


def _layer_norm(folder: pathlib.Path) -> list[Module]:
    fields = read_object(folder / "config.json")
    check_understood(folder / "config.json", fields, ("dimension",))
    shape = (fields.get("dimension"),)
    arrays = _arrays(folder, {"norm.weight": shape, "norm.bias": shape})
    return [LayerNorm(arrays["norm.weight"], arrays["norm.bias"])]


def _normalize(folder: pathlib.Path) -> list[Module]:
    fields = _read_if_there(folder / "config.json")
    fixed = {"module_input_name": _VECTOR, "module_output_name": _VECTOR}
    check_values(folder / "config.json", fields, fixed)
    check_understood(folder / "config.json", fields, fixed)
    return [Normalize()]


def _dropout(folder: pathlib.Path) -> list[Module]:
    """Of training alone."""
    check_understood(folder / "config.json", _read_if_there(folder / "config.json"), ("dropout",))
    return []


_READERS = {
    "Dense": _dense,
    "LayerNorm": _layer_norm,
    "Normalize": _normalize,
    "Dropout": _dropout,
}


def _read_if_there(file: pathlib.Path) -> dict:
    return read_object(file) if file.is_file() else {}


def _arrays(folder: pathlib.Path, shapes: Mapping[str, tuple]) -> dict[str, np.ndarray]:
    """Exactly these arrays of a module. Raises `DataError` naming what does not fit."""
    source = open_weights(folder)
    if dict(source.shapes) != dict(shapes):
        raise DataError(f"{source.path} must hold {shapes}. Received: {dict(source.shapes)}.")
    return {name: source.floats(name) for name in shapes}


def _write_module(folder: pathlib.Path, module: Module) -> None:
    if isinstance(module, Normalize):
        write_json(folder / "config.json", {})
    elif isinstance(module, LayerNorm):
        write_json(folder / "config.json", {"dimension": len(module.gamma)})
        arrays = {"norm.weight": module.gamma, "norm.bias": module.beta}
        write_arrays(folder / "model.safetensors", arrays, {"format": "pt"})
    else:
        inner, outer = module.kernel.shape
        kind = next(name for name, ours in _ACTIVATIONS.items() if ours == module.activation)
        name = _IDENTITY if kind == "Identity" else f"{_TORCH}{kind}"
        sizes = {"in_features": inner, "out_features": outer, "bias": module.bias is not None}
        write_json(folder / "config.json", {**sizes, "activation_function": name})
        arrays = {"linear.weight": module.kernel.T, "linear.bias": module.bias}
        held = {name: array for name, array in arrays.items() if array is not None}
        write_arrays(folder / "model.safetensors", held, {"format": "pt"})
