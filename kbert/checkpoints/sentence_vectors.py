"""How an encoder's vectors become one vector a text: what belongs to a sentence encoder.

    hidden states -> layers combined -> pooled -> modules (dense, norm ...) -> of length 1

pooling.json, with pooling.safetensors where modules have weights, in our checkpoints;
kbert/checkpoints/huggingface/sentence_transformers.py reads and writes other folders.
"""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from keras import activations, ops

from kbert.checkpoints.directory import Checkpoint, encoder_of, known_outputs, load_task
from kbert.checkpoints.weight_files import open_safetensors
from kbert.checkpoints.weights import write_arrays
from kbert.errors import DataError
from kbert.files import read_object, write_json
from kbert.layers import Tensor
from kbert.layers.pooling import POOLING
from kbert.tasks.base import Task
from kbert.tasks.similarity import SimilarityTask

COMBINATIONS = ("concatenate", "sum")
_OWN, _WEIGHTS = "pooling.json", "pooling.safetensors"
_NORM_EPSILON = 1e-5  # of torch.nn.LayerNorm
_LEAST_LENGTH = 1e-12  # that a vector is divided by, of torch.nn.functional.normalize

# With the constants that torch has where Keras lets one choose.
ACTIVATIONS: dict[str, Callable] = {
    "linear": activations.linear,
    "celu": activations.celu,
    "elu": activations.elu,
    "gelu": lambda x: activations.gelu(x, approximate=False),
    "hard_shrink": activations.hard_shrink,
    "hard_sigmoid": activations.hard_sigmoid,
    "hard_silu": activations.hard_silu,
    "hard_tanh": activations.hard_tanh,
    "leaky_relu": lambda x: activations.leaky_relu(x, 0.01),
    "log_sigmoid": activations.log_sigmoid,
    "mish": activations.mish,
    "relu": activations.relu,
    "relu6": activations.relu6,
    "selu": activations.selu,
    "sigmoid": activations.sigmoid,
    "silu": activations.silu,
    "soft_shrink": activations.soft_shrink,
    "softplus": activations.softplus,
    "softsign": activations.softsign,
    "tanh": activations.tanh,
    "tanh_shrink": activations.tanh_shrink,
}


@dataclasses.dataclass(frozen=True)
class Dense:
    """activation(x W + b). `kernel` is (input, output), `bias` (output,) or None."""

    activation: str
    kernel: np.ndarray = dataclasses.field(compare=False)
    bias: np.ndarray | None = dataclasses.field(default=None, compare=False)

    def __post_init__(self):
        if self.activation not in ACTIVATIONS:
            raise DataError(
                f"The activation of a dense module must be one of {', '.join(ACTIVATIONS)}. "
                f"Received: {self.activation!r}."
            )
        shape = np.shape(self.kernel)
        if len(shape) != 2 or np.shape(self.bias) not in ((), shape[1:]):
            raise DataError(
                "A dense module must have a kernel (input, output) and a bias (output,). "
                f"Received: {shape}, {np.shape(self.bias)}."
            )

    def __call__(self, vectors: Tensor) -> Tensor:
        wide = ops.matmul(vectors, self.kernel) + (0.0 if self.bias is None else self.bias)
        return ACTIVATIONS[self.activation](wide)


@dataclasses.dataclass(frozen=True)
class LayerNorm:
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, both (width,)."""

    gamma: np.ndarray = dataclasses.field(compare=False)
    beta: np.ndarray = dataclasses.field(compare=False)

    def __call__(self, vectors: Tensor) -> Tensor:
        centred = vectors - ops.mean(vectors, axis=1, keepdims=True)
        deviation = ops.sqrt(ops.var(vectors, axis=1, keepdims=True) + _NORM_EPSILON)
        return centred / deviation * self.gamma + self.beta


@dataclasses.dataclass(frozen=True)
class Normalize:
    """x / |x|."""

    def __call__(self, vectors: Tensor) -> Tensor:
        lengths = ops.norm(vectors, axis=1, keepdims=True)
        return vectors / ops.maximum(lengths, _LEAST_LENGTH)


Module = Dense | LayerNorm | Normalize
_KINDS = {"dense": Dense, "layer_norm": LayerNorm, "normalize": Normalize}


@dataclasses.dataclass(frozen=True)
class Pooling:
    """
    Args:
        mode: a key of `POOLING` (kbert/layers/pooling.py), over all tokens, [CLS] and [SEP] among
            them. Several are joined by "+", "cls+mean" for example, and concatenated in this order.
        layers: hidden states by number: 0 is the embedding, -1 the last layer. Several are
            combined before pooling.
        combination: "concatenate" (BERT paper, table 7) or "sum".
        normalize: divide by the length at the end, so that a product of two vectors is their
            cosine.
        modules: what stands between pooling and the end.
        prompt: what is put before every text.
        sequence_length: tokens that a text may have; None for as many as the encoder takes.

    Raises `DataError` for values that make no sense.
    """

    mode: str = "mean"
    layers: tuple[int, ...] = (-1,)
    combination: str = "concatenate"
    normalize: bool = False
    modules: tuple[Module, ...] = ()
    prompt: str = ""
    sequence_length: int | None = None

    def __post_init__(self):
        for mode in self.modes:
            _check_choice("mode", mode, POOLING)
        _check_choice("combination", self.combination, COMBINATIONS)
        if not self.layers or any(type(layer) is not int for layer in self.layers):
            raise DataError(f"The pooling's layers must be numbers. Received: {self.layers!r}.")
        if not isinstance(self.normalize, bool) or not isinstance(self.prompt, str):
            raise DataError(
                "The pooling's normalize must be true or false, its prompt a text. "
                f"Received: {self.normalize!r}, {self.prompt!r}."
            )
        length = self.sequence_length
        if length is not None and (type(length) is not int or length < 3):
            raise DataError(f"The pooling's sequence_length must be 3 or more, not {length!r}.")

    @property
    def modes(self) -> tuple[str, ...]:
        """The modes that `mode` joins."""
        return tuple(self.mode.split("+")) if isinstance(self.mode, str) else (self.mode,)

    def finish(self, vectors: Tensor) -> Tensor:
        """What modules and normalisation make of pooled vectors (texts, width), float32."""
        vectors = ops.cast(vectors, "float32")
        for module in (*self.modules, *([Normalize()] if self.normalize else [])):
            vectors = module(vectors)
        return vectors

    def width(self, hidden_dim: int) -> int:
        """The numbers of a vector, of an encoder of this width."""
        layers = len(self.layers) if self.combination == "concatenate" else 1
        dense = [module for module in self.modules if isinstance(module, Dense)]
        return dense[-1].kernel.shape[1] if dense else hidden_dim * layers * len(self.modes)

    def check_fits(self, hidden_dim: int) -> None:
        """Raise `DataError` unless the modules take what the pooling gives them."""
        width = dataclasses.replace(self, modules=()).width(hidden_dim)
        for module in self.modules:
            if isinstance(module, Normalize):
                continue
            takes = len(module.kernel if isinstance(module, Dense) else module.gamma)
            if takes != width:
                raise DataError(
                    f"A {type(module).__name__} behind the pooling must take its {width} numbers. "
                    f"Received: one that takes {takes}."
                )
            width = module.kernel.shape[1] if isinstance(module, Dense) else width


def read_pooling(path: str | os.PathLike) -> Pooling | None:
    """The pooling of a checkpoint of kbert, if it states one, or was trained with one.

    Raises `DataError` for one that makes no sense.
    """
    path = pathlib.Path(path)
    if not (path / _OWN).is_file():
        return trained_pooling(load_task(path))
    values = read_object(path / _OWN)
    try:
        modules = values.pop("modules", [])
        arrays = _arrays(path / _WEIGHTS)
        made = tuple(_module(number, fields, arrays) for number, fields in enumerate(modules))
        return Pooling(**{**values, "layers": tuple(values["layers"]), "modules": made})
    except (TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{path / _OWN} must describe a pooling: {error!r}.") from error
    except DataError as error:
        raise DataError(f"{path / _OWN}: {error}") from error


def trained_pooling(task: Task | None) -> Pooling | None:
    """How a model that was trained for vectors makes them; None of another."""
    if not isinstance(task, SimilarityTask):
        return None
    return Pooling(task.pooling, normalize=True, sequence_length=task.sequence_length)


def without_task(checkpoint: Checkpoint) -> Checkpoint:
    """The encoder alone, of a model that was trained for vectors; every other model as it is.

    What the rest of the world knows of such a model is its vectors.
    """
    if trained_pooling(checkpoint.task) is None:
        return checkpoint
    encoder = encoder_of(checkpoint, known_outputs(checkpoint.model))
    return checkpoint._replace(model=encoder, task=None)


def write_pooling(path: str | os.PathLike, pooling: Pooling) -> None:
    """Write pooling.json into a checkpoint of kbert, the weights of modules beside it."""
    described = {
        field.name: getattr(pooling, field.name)
        for field in dataclasses.fields(pooling)
        if field.name != "modules"
    }
    described["modules"], arrays = [], {}
    for number, module in enumerate(pooling.modules):
        kind = next(name for name, kind in _KINDS.items() if isinstance(module, kind))
        described["modules"].append({"kind": kind})
        for name, value in vars(module).items():
            if isinstance(value, np.ndarray):
                arrays[f"{number}/{name}"] = value
            elif value is not None:
                described["modules"][-1][name] = value
    if arrays:
        write_arrays(pathlib.Path(path, _WEIGHTS), arrays)
    write_json(pathlib.Path(path, _OWN), described)


def _arrays(file: pathlib.Path) -> dict[str, np.ndarray]:
    if not file.is_file():
        return {}
    source = open_safetensors([file])
    return {name: source.floats(name) for name in source.shapes}


def _module(number: int, fields: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Module:
    own = {name.partition("/")[2]: a for name, a in arrays.items() if name.startswith(f"{number}/")}
    options = {name: value for name, value in fields.items() if name != "kind"}
    return _KINDS[fields["kind"]](**options, **own)


def _check_choice(name, value, allowed):
    if value not in allowed:
        raise DataError(
            f"The pooling's {name} must be one of {', '.join(allowed)}. Received: {value!r}."
        )
