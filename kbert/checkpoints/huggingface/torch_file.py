"""Tensors of a PyTorch file (`pytorch_model.bin`) without PyTorch, and without running anything.

Such a file is a zip archive: `data.pkl` says which tensors there are, `data/0`, `data/1` ... hold
their bytes. A pickle can name any function to call, so only the handful that describe tensors is
let through.

Why not `torch.load(..., weights_only=True)`, as an extra: it would bring the whole of PyTorch for
one function, and its unpickler, which knows many more names and calls functions of tensors, could
be made to run code (CVE-2025-32434, before 2.6). Here Python's own unpickler is given two functions
and the names of dtypes, none of which computes: a tensor stays a description until its bytes are
read, memory-mapped, with its size compared first.
"""

import collections
import mmap
import pathlib
import pickle
import zipfile
from typing import NamedTuple

import numpy as np

from kbert.checkpoints.weight_files import Source
from kbert.errors import DataError

_HOW_TO_CONVERT = (
    "Where PyTorch is installed, write it anew: "
    "`safetensors.torch.save_file(torch.load(path, weights_only=True), 'model.safetensors')`."
)
_MOST_PICKLE_BYTES = 64 * 2**20  # That of BERT-large takes 60 kB.
_LOCAL_HEADER_BYTES = 30  # of a zip entry, before its name; see APPNOTE.TXT, 4.3.7

# bfloat16 as the upper halves of float32: NumPy has no such type.
_DTYPES = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": np.dtype("<u2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "BoolStorage": np.dtype("?"),
    "ByteStorage": np.dtype("u1"),
}


class _Tensor(NamedTuple):
    kind: str  # of its storage
    file: str
    offset: int
    shape: tuple
    strides: tuple


def open_torch(path: pathlib.Path) -> Source:
    """The tensors of a PyTorch file, memory-mapped.

    Raises `DataError` for a file that is damaged, holds anything but tensors, or was written before
    PyTorch 1.6.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {info.filename: info for info in archive.infolist()}
            pickled = [name for name in entries if name.endswith("data.pkl")]
            if len(pickled) != 1 or entries[pickled[0]].file_size > _MOST_PICKLE_BYTES:
                raise DataError(f"{path} must hold one data.pkl. {_HOW_TO_CONVERT}")
            folder = pickled[0].removesuffix("data.pkl")
            _check_byte_order(path, archive, entries.get(folder + "byteorder"))
            with archive.open(pickled[0]) as file:
                tensors = _Unpickler(file).load()
    except zipfile.BadZipFile as error:
        raise DataError(
            f"{path} is no whole PyTorch file of version 1.6 or later: {error}. {_HOW_TO_CONVERT}"
        ) from error
    except DataError:
        raise
    except Exception as error:  # An unpickler that is fed nonsense raises nearly anything.
        raise DataError(f"{path} must hold tensors only: {error}. {_HOW_TO_CONVERT}") from error
    if not isinstance(tensors, dict):
        raise DataError(f"{path} must hold a dictionary of tensors. Received: {type(tensors)}.")
    tensors = {name: tensor for name, tensor in tensors.items() if isinstance(tensor, _Tensor)}

    def read(name: str) -> np.ndarray:
        return _read(path, entries, folder, name, tensors[name])

    return Source(path, {name: tensor.shape for name, tensor in tensors.items()}, read)


class _Unpickler(pickle.Unpickler):
    """Reads descriptions of tensors; every other name is an error."""

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *_: tensor
        if module == "torch" and name in _DTYPES:
            return name
        raise pickle.UnpicklingError(f"it names {module}.{name}, which no tensor needs")

    def persistent_load(self, identity):
        _, kind, file, *_ = identity
        return kind, file


def _rebuild_tensor(storage, offset, shape, strides, *_):
    return _Tensor(*storage, offset, tuple(shape), tuple(strides))


def _check_byte_order(path, archive, entry):
    if entry is not None and archive.read(entry) != b"little":
        raise DataError(f"{path} must be little-endian. {_HOW_TO_CONVERT}")


def _read(path, entries, folder, name, tensor):
    entry = entries.get(f"{folder}data/{tensor.file}")
    if entry is None or entry.compress_type != zipfile.ZIP_STORED:
        raise DataError(f"{path} lacks the bytes of {name}, or has them compressed.")
    dtype = _DTYPES[tensor.kind]
    # The last element that the strides reach, and one more.
    reach = 1 + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.strides, strict=True))
    needed = (tensor.offset + reach) * dtype.itemsize
    sizes = (*tensor.shape, *tensor.strides, tensor.offset)
    if any(type(size) is not int or size < 0 for size in sizes) or needed > entry.file_size:
        raise DataError(f"{path} has {entry.file_size} bytes for {name}, which needs {needed}.")
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as bytes_:
        header = bytes_[entry.header_offset : entry.header_offset + _LOCAL_HEADER_BYTES]
        name_length, extra_length = (int.from_bytes(header[i : i + 2], "little") for i in (26, 28))
        start = entry.header_offset + _LOCAL_HEADER_BYTES + name_length + extra_length
        stored = np.frombuffer(bytes_[start : start + needed], dtype)
    array = np.lib.stride_tricks.as_strided(
        stored[tensor.offset :],
        tensor.shape,
        tuple(stride * dtype.itemsize for stride in tensor.strides),
        writeable=False,
    )
    if tensor.kind == "BFloat16Storage":
        return (array.astype("<u4") << 16).view("<f4")
    return array
