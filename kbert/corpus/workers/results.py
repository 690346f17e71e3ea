"""The file of what was made of a part of a text: arrays, and in JSON what is known of them."""

import io
import json
import os
import zipfile
import zlib
from collections.abc import Mapping
from typing import BinaryIO, NamedTuple

import numpy as np

_INFO = "info"
_DAMAGE = (ValueError, KeyError, OSError, EOFError, NotImplementedError, RuntimeError)
_DAMAGE += (zipfile.BadZipFile, zlib.error)


class Result(NamedTuple):
    """What was made of a part.

    Attributes:
        arrays: by name.
        info: what JSON can hold; sums of its numbers "num_..." and "counts" describe the text.
    """

    arrays: Mapping[str, np.ndarray]
    info: dict

    def write(self, file: BinaryIO) -> None:
        """Write it as .npz."""
        np.savez(file, **self.arrays, **{_INFO: _as_bytes(self.info)})

    def to_bytes(self) -> bytes:
        """The same, compressed: for a network."""
        file = io.BytesIO()
        np.savez_compressed(file, **self.arrays, **{_INFO: _as_bytes(self.info)})
        return file.getvalue()


def read_info(file: BinaryIO) -> dict | None:
    """The info of a result; None where the file is not what was written, as after a power cut."""
    try:
        with zipfile.ZipFile(file) as archive:
            if archive.testzip() is not None:  # By the checksums of its members.
                return None
        file.seek(0)
        return _info(file)
    except _DAMAGE:
        return None


def info_of(path: str | os.PathLike) -> dict:
    """The info of a result that is known to be whole."""
    return _info(path)


def _info(file):
    with np.load(file) as arrays:
        return json.loads(arrays[_INFO].tobytes())


def counters(info: Mapping) -> dict[str, int]:
    """The numbers of an info that add up, by name: those below "counts" by the names above them."""
    found = {name: value for name, value in info.items() if name.startswith("num_")}
    for group, counts in info.get("counts", {}).items():
        found |= {f"{group}_{name}": value for name, value in counts.items()}
    return found


def _as_bytes(info):
    return np.frombuffer(json.dumps(info).encode(), np.uint8)
