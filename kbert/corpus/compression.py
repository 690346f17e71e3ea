"""Opens plain and compressed files as streams; a damaged one gives the lines before."""

import gzip
import io
import lzma
import os
import zlib
from typing import BinaryIO

import zstandard

COMPRESSIONS = {".gz": "gzip", ".xz": "xz", ".zst": "zstd"}
MAGIC = {b"\x1f\x8b": ".gz", b"\xfd7zXZ\x00": ".xz", b"\x28\xb5\x2f\xfd": ".zst"}
# What reading a damaged file raises, once the whole lines before the damage have been read.
DAMAGE = (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError)


def split_suffixes(path: str) -> tuple[str, str]:
    """(".jsonl", ".gz") of `a.jsonl.gz`; the second is "" for a plain file."""
    stem, last = os.path.splitext(path.lower())
    if last in COMPRESSIONS:
        return os.path.splitext(stem)[1], last
    return last, ""


def compression_of(head: bytes) -> str | None:
    """ ".gz" of bytes that begin as those of gzip do, and so on; None for others."""
    return next((suffix for magic, suffix in MAGIC.items() if head.startswith(magic)), None)


def decompressed(raw: BinaryIO, path: str, buffer_bytes: int = 1 << 20) -> BinaryIO:
    """The bytes inside an open file, by the suffix of its path; reading may raise DAMAGE."""
    compression = split_suffixes(path)[1]
    if compression == ".gz":
        source = gzip.GzipFile(fileobj=raw)
    elif compression == ".xz":
        source = lzma.LZMAFile(raw)
    elif compression == ".zst":
        source = _ZstdSource(raw)
    else:
        return raw
    return io.BufferedReader(_OneAtATime(source), buffer_bytes)


class _OneAtATime(io.RawIOBase):
    """Hands out each decompressed block as it comes.

    `io.BufferedReader` right above a GzipFile or LZMAFile asks for a full buffer, and where that
    raises in the middle, up to a buffer of good text is lost.
    """

    def __init__(self, source):
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        data = self._source.read1(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class _ZstdSource:
    """The frames of a .zst file, one after another.

    Unlike zstandard's own reader it raises EOFError where a file ends in the middle of a frame.
    """

    # One block of 128 KiB can hide behind 4 bytes: small reads keep the output bounded.
    _READ_BYTES = 512

    def __init__(self, raw: BinaryIO):
        self._raw = raw
        self._frame = None
        self._compressed = b""
        self._output = memoryview(b"")

    def read1(self, size: int) -> memoryview:
        while not self._output:
            self._compressed = self._compressed or self._raw.read(self._READ_BYTES)
            if not self._compressed:
                if self._frame is not None:
                    raise EOFError("the compressed data ends early")
                return memoryview(b"")
            self._frame = self._frame or zstandard.ZstdDecompressor().decompressobj()
            self._output = memoryview(self._frame.decompress(self._compressed))
            self._compressed = self._frame.unused_data
            if self._frame.eof:
                self._frame = None
        taken, self._output = self._output[:size], self._output[size:]
        return taken
