"""PyTorch's files without PyTorch: the numbers are right, and nothing in a file is ever run."""

import collections
import io
import pickle
import struct
import sys
import types
import zipfile

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from kbert import from_huggingface, to_huggingface
from kbert.checkpoints.huggingface.torch_file import open_torch
from kbert.errors import DataError
from tests.checkpoints.published_models import assert_same, make

STORAGES = {"float32": "FloatStorage", "float16": "HalfStorage", "int64": "LongStorage"}


class _Named:
    """Pickled by a name of a module that is not there."""

    def __init__(self, module, name):
        self.module, self.name = module, name


class _Pickler(pickle._Pickler):
    """Writes names and storages as torch.save does: protocol 2, storages as persistent ids."""

    def persistent_id(self, value):
        return value.identity if isinstance(value, _Storage) else None

    def save(self, value, *args, **options):
        if isinstance(value, _Named):
            self.write(f"c{value.module}\n{value.name}\n".encode())
            return
        super().save(value, *args, **options)


class _Storage:
    def __init__(self, identity):
        self.identity = identity


class _Call:
    """Pickled as a call: function(*arguments)."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments


def save_call(pickler, call):
    pickler.save(call.function)
    pickler.save(call.arguments)
    pickler.write(pickle.REDUCE)


_Pickler.dispatch = dict(pickle._Pickler.dispatch)
_Pickler.dispatch[_Call] = save_call


def tensor(key, array, strides=None, offset=0, rebuild="_rebuild_tensor_v2"):
    kind = _Named("torch", STORAGES[array.dtype.name])
    storage = _Storage(("storage", kind, key, "cpu", array.size))
    strides = tuple(s // array.itemsize for s in array.strides) if strides is None else strides
    hooks = _Call(_Named("collections", "OrderedDict"))
    function = _Named("torch._utils", rebuild)
    return _Call(function, storage, offset, array.shape, strides, False, hooks)


def write(path, value, arrays=(), compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    _Pickler(buffer, 2).dump(value)
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("model/data.pkl", buffer.getvalue())
        archive.writestr("model/byteorder", "little")
        for key, array in arrays:
            archive.writestr(f"model/data/{key}", array.tobytes())
    return path


def test_a_model(tmp_path):
    before = make("pretraining")
    to_huggingface(tmp_path, before)
    arrays = safetensors.numpy.load_file(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    value = {name: tensor(str(n), array) for n, (name, array) in enumerate(arrays.items())}
    stored = [(str(n), array) for n, array in enumerate(arrays.values())]
    write(tmp_path / "pytorch_model.bin", value, stored)
    assert_same(from_huggingface(tmp_path), before)


def test_strides_offsets_and_parameters(tmp_path):
    array = np.arange(24, dtype="float32")
    transposed = tensor("0", array[:6].reshape(2, 3), strides=(1, 2), offset=4)
    parameter = _Call(_Named("torch._utils", "_rebuild_parameter"), transposed, True, None)
    half = np.linspace(0, 1, 4, dtype="float16")
    value = collections.OrderedDict(a=transposed, b=parameter, c=tensor("1", half))
    source = open_torch(write(tmp_path / "x.bin", value, [("0", array), ("1", half)]))
    assert source.shapes == {"a": (2, 3), "b": (2, 3), "c": (4,)}
    for name in "ab":
        np.testing.assert_array_equal(source.read(name), array[4:10].reshape(3, 2).T)
    np.testing.assert_array_equal(source.read("c"), half)


def test_bfloat16(tmp_path):
    STORAGES["uint16"] = "BFloat16Storage"
    exact = np.array([1.0, -2.5, 0.15625], "float32")
    upper = (exact.view("uint32") >> 16).astype("uint16")
    source = open_torch(write(tmp_path / "x.bin", {"a": tensor("0", upper)}, [("0", upper)]))
    np.testing.assert_array_equal(source.read("a"), exact)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("torch.storage", "_load_from_bytes"),
        ("torch", "load"),
        ("collections", "Counter"),
    ],
)
def test_nothing_is_run(tmp_path, module, name, monkeypatch):
    trap = types.ModuleType("torch")
    trap.load = lambda *_: pytest.fail("a function of the file was called")
    monkeypatch.setitem(sys.modules, "torch", trap)
    proof = tmp_path / "proof"
    value = {"a": _Call(_Named(module, name), f"touch {proof}")}
    with pytest.raises(DataError, match=f"names {module}.{name}, which no tensor needs"):
        open_torch(write(tmp_path / "x.bin", value))
    assert not proof.exists()


def test_tensors_beyond_their_bytes(tmp_path):
    array = np.arange(6, dtype="float32")
    for strides, offset in (((1, 2), 2), ((100, 1), 0), ((-1, 1), 5), ((1, 2), -1)):
        value = {"a": tensor("0", array.reshape(3, 2), strides, offset)}
        source = open_torch(write(tmp_path / "x.bin", value, [("0", array)]))
        with pytest.raises(DataError, match="bytes for a, which needs"):
            source.read("a")


def test_compressed_or_missing_bytes(tmp_path):
    array = np.arange(6, dtype="float32")
    value = {"a": tensor("0", array)}
    for arrays, compression in (((), 0), ([("0", array)], zipfile.ZIP_DEFLATED)):
        source = open_torch(write(tmp_path / "x.bin", value, arrays, compression))
        with pytest.raises(DataError, match="lacks the bytes of a, or has them compressed"):
            source.read("a")


def test_files_before_version_1_6(tmp_path):
    (tmp_path / "x.bin").write_bytes(pickle.dumps({"a": 1}, 2))
    with pytest.raises(DataError, match="safetensors.torch.save_file"):
        open_torch(tmp_path / "x.bin")


@given(st.data())
def test_damage_is_an_error_or_harmless(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("torch")
    array = np.arange(6, dtype="float32")
    file = write(folder / "x.bin", {"a": tensor("0", array)}, [("0", array)])
    raw = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(bytes(raw[: data.draw(st.integers(0, len(raw)))]))
    try:
        source = open_torch(file)
        for name in source.shapes:
            source.read(name)
    except DataError:
        pass


def test_a_pickle_that_claims_a_huge_size(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.bin", "w") as archive:
        # BINUNICODE8 of 2^60 bytes.
        archive.writestr("model/data.pkl", b"\x80\x04\x8d" + struct.pack("<Q", 2**60) + b"x.")
    with pytest.raises(DataError):
        open_torch(tmp_path / "x.bin")
