"""Weights of a Keras model in a safetensors file, under the paths of its variables."""

import json
import math
import os
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence

import keras
import numpy as np
import safetensors
import safetensors.numpy

from kbert.checksums import named
from kbert.config import BertConfig
from kbert.errors import DataError
from kbert.files import replacing

# The package's names of the types that weights may have.
_FLOATS = ("F16", "BF16", "F32", "F64")


def write_arrays(
    path: str | os.PathLike,
    arrays: dict[str, np.ndarray],
    metadata: dict[str, str] | None = None,
) -> None:
    """Write named arrays, atomically. `metadata` stands in the file's header.

    Raises `OSError` where the disk is full or the like.
    """
    # Not np.ascontiguousarray, which makes a scalar an array of one number.
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    with replacing(path) as temporary:
        try:
            safetensors.numpy.save_file(arrays, temporary, metadata)
        except safetensors.SafetensorError as error:
            # The package's error for every failure to write: "... (os error 28)".
            number = re.search(r"os error (\d+)", str(error))
            if number is None:
                raise
            number = int(number.group(1))
            raise OSError(number, os.strerror(number), str(path)) from error


def read_arrays(path: str | os.PathLike):
    """An open safetensors file: `keys()` and `get_tensor(name)`, memory-mapped.

    Raises `DataError` where the file is damaged or of another format.
    """
    try:
        return safetensors.safe_open(path, framework="numpy")
    except safetensors.SafetensorError as error:
        raise DataError(f"{path} is not a whole safetensors file: {error}.") from error


def map_array(path: str | os.PathLike, name: str) -> np.ndarray:
    """An array of a file that `read_arrays` could open, without a copy where it is float32.

    The package's own `get_tensor` copies, which takes ten times as long (of 200 MB: 0.53 s, not
    0.05 s, safetensors 0.8.0), twice for every array that is checked before it is assigned; and the
    largest array decides how much memory it takes to load a model.
    """
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        entry = json.loads(file.read(size))[name]
    if entry["dtype"] != "F32" or not all(entry["shape"]):
        return read_arrays(path).get_tensor(name)
    start = 8 + size + entry["data_offsets"][0]
    return np.memmap(path, "<f4", "r", start, tuple(entry["shape"]))


def all_finite(array: np.ndarray) -> bool:
    """Whether an array holds numbers only, found without a second array as large as the first."""
    # The sum of a row in double precision is finite if all its numbers are.
    with np.errstate(invalid="ignore", over="ignore"):
        return bool(np.isfinite(np.atleast_1d(array).sum(axis=-1, dtype="float64")).all())


def model_weights(model: keras.Model) -> dict[str, keras.Variable]:
    """Every weight under its path, without the states of random generators.

    Raises `DataError` for an ensemble, whose members have the same paths.
    """
    weights = {weight.path: weight for weight in model.weights}
    if len(weights) < len(model.weights):
        raise DataError("An ensemble has no weights of its own. Expected one of its members.")
    return weights


def weights_digest(model: keras.Model) -> str:
    """What differs where a weight does: a CRC-32 of all of them, with their names."""
    value = 0
    for name, weight in sorted(model_weights(model).items()):
        value = zlib.crc32(name.encode(), value)
        array = np.ascontiguousarray(keras.ops.convert_to_numpy(weight))
        value = zlib.crc32(array.view(np.uint8), value)  # As bytes: NumPy lends no bfloat16.
    return named(value)


def save_weights(path: str | os.PathLike, model: keras.Model, dtype: str = "float32") -> None:
    """Write a model's weights in "float32", or in "float16" at half the size. Raises `DataError`
    as `in_dtype`."""
    arrays = {
        name: keras.ops.convert_to_numpy(weight) for name, weight in model_weights(model).items()
    }
    write_arrays(path, in_dtype(arrays, dtype))


def in_dtype(arrays: Mapping[str, np.ndarray], dtype: str) -> dict[str, np.ndarray]:
    """The arrays in another type. Raises `DataError` for one with a number that it cannot hold."""
    with np.errstate(over="ignore"):
        found = {name: array.astype(dtype) for name, array in arrays.items()}
    for name, array in found.items():
        if array.dtype != arrays[name].dtype and not np.isfinite(array).all():
            raise DataError(f"{name} has a number that {dtype} does not hold.")
    return found


def stored_shapes(path: str | os.PathLike) -> dict[str, tuple[int, ...]]:
    """The shapes of the arrays in a safetensors file by name. Raises as `read_arrays` does."""
    with read_arrays(path) as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}


def check_size(
    path: str | os.PathLike,
    shapes: Iterable[Sequence[int]],
    config: BertConfig,
    num_layers: int | None = None,
) -> None:
    """Raise `DataError` if a file of weights is too small for the encoder of a configuration.

    For before it is built: the sizes of a damaged configuration can ask for more memory than any
    machine has.

    Args:
        path: the file, for the message.
        shapes: of all arrays in it.
        num_layers: of the encoder's layers, those that the model has; None for all.
    """
    # A model may be without a pooler.
    wanted = config.num_parameters(num_layers, pooler=False)
    found = sum(map(math.prod, shapes))
    if found < wanted:
        raise DataError(
            f"{path} must hold the weights that its configuration describes, {wanted:,} numbers "
            f"at least. Received: {found:,}."
        )


def load_weights(path: str | os.PathLike, model: keras.Model) -> None:
    """Fill a model with the weights of a file.

    Raises as `map_weights` does; the model is then as before.
    """
    weights = model_weights(model)
    for name, array in map_weights(path, weights).items():
        weights[name].assign(array)


def map_weights(
    path: str | os.PathLike, weights: Mapping[str, keras.Variable]
) -> Mapping[str, np.ndarray]:
    """The array in a file for each weight, mapped into memory.

    Raises `DataError`, naming them, for weights that are missing, unknown, of another shape, no
    floating-point numbers, or not finite, and where all of them are 0.
    """
    with read_arrays(path) as file:
        check_arrays(path, file, weights)
    arrays = {name: map_array(path, name) for name in weights}
    if not any(array.any() for array in arrays.values()):
        raise DataError(f"The weights in {path} are all 0.")
    return arrays


def check_arrays(path: str | os.PathLike, file, variables: Mapping[str, keras.Variable]) -> None:
    """Raise `DataError` unless a file holds exactly the arrays that these variables can take.

    Args:
        file: `path`, opened by `read_arrays`.
    """
    found = set(file.keys())
    problems = [f"{name} is missing" for name in variables if name not in found]
    problems += [f"{name} is not of this model" for name in sorted(found - set(variables))]
    for name, variable in variables.items():
        problem = _problem(path, file, name, variable) if name in found else None
        problems += [] if problem is None else [f"{name} {problem}"]
    if problems:
        shown = "; ".join(problems[:5]) + (f"; {len(problems) - 5} more" if problems[5:] else "")
        raise DataError(f"The arrays in {path} do not fit the model: {shown}.")


def _problem(path, file, name: str, variable: keras.Variable) -> str | None:
    """What is wrong with an array for a variable."""
    stored = file.get_slice(name)
    shape, kind = tuple(stored.get_shape()), stored.get_dtype()
    if shape != tuple(variable.shape):
        return f"must be of shape {tuple(variable.shape)}, not {shape}"
    if keras.backend.is_float_dtype(keras.backend.standardize_dtype(variable.dtype)):
        if kind not in _FLOATS:
            return f"must be one of {', '.join(_FLOATS)}, not {kind}"
        if not all_finite(map_array(path, name)):
            return "holds NaN or infinity"
    elif kind in _FLOATS:
        return f"must be whole numbers, not {kind}"
    return None
