"""Weights of a Keras model in a safetensors file, under the paths of its variables."""

import json
import os
import pathlib
import re

import keras
import numpy as np
import safetensors
import safetensors.numpy

from kbert.errors import DataError
from kbert.files import replacing


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

    The package's own `get_tensor` copies twice, and the largest array decides how much memory it
    takes to load a model.
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
    return bool(np.isfinite(np.atleast_1d(array).sum(axis=-1, dtype="float64")).all())


def model_weights(model: keras.Model) -> dict[str, keras.Variable]:
    """Every weight under its path, without the states of random generators."""
    return {weight.path: weight for weight in model.weights}


def save_weights(path: str | os.PathLike, model: keras.Model, dtype: str = "float32") -> None:
    """Write a model's weights in "float32", or in "float16" at half the size."""
    arrays = {
        name: keras.ops.convert_to_numpy(weight).astype(dtype)
        for name, weight in model_weights(model).items()
    }
    write_arrays(path, arrays)


def load_weights(path: str | os.PathLike, model: keras.Model) -> None:
    """Fill a model with the weights of a file.

    Raises `DataError`, naming them, for weights that are missing, unknown, of another shape or no
    numbers; the model is then as before.
    """
    with read_arrays(path) as file:
        weights = model_weights(model)
        check_weights(path, file, weights)
        for name, weight in weights.items():
            weight.assign(map_array(path, name))


def check_weights(path, file, weights: dict) -> None:
    """Raises `DataError` unless the file holds exactly these weights, in shape and all finite."""
    path = pathlib.Path(path)
    found = set(file.keys())
    problems = [f"{name} is missing" for name in weights if name not in found]
    problems += [f"{name} is not of this model" for name in sorted(found - set(weights))]
    for name in [name for name in weights if name in found]:
        shape = tuple(file.get_slice(name).get_shape())
        if shape != tuple(weights[name].shape):
            problems.append(f"{name} must be of shape {tuple(weights[name].shape)}, not {shape}")
        elif not all_finite(map_array(path, name)):
            problems.append(f"{name} holds values that are no numbers")
    if problems:
        shown = "; ".join(problems[:5]) + (f"; {len(problems) - 5} more" if problems[5:] else "")
        raise DataError(f"The weights in {path} do not fit the model: {shown}.")
