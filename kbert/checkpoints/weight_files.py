"""Named arrays of files of weights, whatever the format."""

import os
import pathlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from kbert.checkpoints.weights import all_finite, map_array, read_arrays
from kbert.errors import DataError
from kbert.files import read_object


class Source(NamedTuple):
    """Named arrays of a file: their shapes at once, an array when it is asked for."""

    path: pathlib.Path
    shapes: Mapping[str, tuple[int, ...]]
    read: Callable[[str], np.ndarray]

    def floats(self, name: str) -> np.ndarray:
        """An array as float32. Raises `DataError` unless it is of floats, all finite."""
        array = self.read(name)
        if not np.issubdtype(array.dtype, np.floating) and array.dtype.name != "bfloat16":
            raise DataError(f"{self.path}: {name} must be floats, not {array.dtype}.")
        array = np.asarray(array, "float32")
        if not all_finite(array):
            raise DataError(f"{self.path}: {name} holds NaN or infinity.")
        return array


def open_safetensors(files: list[pathlib.Path]) -> Source:
    """The arrays of one safetensors file, or of the shards of one model, memory-mapped."""
    homes, shapes = {}, {}
    for path in files:
        if not path.is_file():
            raise DataError(f"{path} is missing.")
        file = read_arrays(path)
        for name in file.keys():
            homes[name] = path
            shapes[name] = tuple(file.get_slice(name).get_shape())
    # Mapped for each array anew: what has been read of a mapped file stays in memory until it is
    # closed, and would be as much as the model itself.
    return Source(files[0], shapes, lambda name: map_array(homes[name], name))


def shards(index: pathlib.Path) -> list[pathlib.Path]:
    """The files that `model.safetensors.index.json` names, all beside it."""
    weight_map = read_object(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise DataError(f"{index} must have a `weight_map`: the file of each weight.")
    names = sorted({str(name) for name in weight_map.values()})
    for name in names:
        if os.path.basename(name) != name or name in ("", ".", ".."):
            raise DataError(f"{index} must name files beside it. Received: {name!r}.")
    return [index.parent / name for name in names]


def merge_heads(name: str, shape: tuple[int, ...], output_layer: str) -> tuple[int, ...]:
    """The shape of an attention weight whose heads have an axis of their own, without that axis.

    Kernels that make heads are (hidden, heads, head width), that which joins them, of
    `output_layer`, is (heads, head width, hidden), biases of heads are (heads, head width).
    """
    if len(shape) == 3 and output_layer in name:
        return (shape[0] * shape[1], shape[2])
    if len(shape) == 3:
        return (shape[0], shape[1] * shape[2])
    is_bias = name.endswith("/bias") and len(shape) == 2
    return (shape[0] * shape[1],) if is_bias else tuple(shape)
