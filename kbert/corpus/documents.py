"""Reads text corpora as streams: files and folders in, documents out.

Files are `.txt`, `.md` or `.jsonl`, plain or compressed (`.gz`, `.xz`, `.zst`), in UTF-8; folders
are searched for them in sorted order. In `.txt` and `.md` a blank line ends a document, or only the
end of the file does; in `.jsonl` every line is an object with the document in one field.

Whatever can be known beforehand (a missing file, a binary one, a wrong suffix) raises DataError
before any document is read. What turns up later, such as a broken line in the middle, is counted in
`TextReader.problems` with its file and first line, and reading goes on. Memory does not grow with
the length of a file, a line or a document.
"""

import codecs
import copy
import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple

from kbert.corpus.compression import (
    COMPRESSIONS,
    DAMAGE,
    MAGIC,
    compression_of,
    decompressed,
    split_suffixes,
)
from kbert.corpus.places import is_url, open_binary, size_of, state_of
from kbert.corpus.problems import Problems
from kbert.corpus.text_files import find_files
from kbert.errors import DataError
from kbert.text.sentences import cut_long

DOCUMENT_RULES = ("blank-line", "file")

# A longer document is handed out in parts, so that nobody ever holds a gigabyte of text at once.
MAX_DOCUMENT_LENGTH = 4 << 20  # bytes in .txt and .md, characters in .jsonl
MAX_JSON_LINE_BYTES = 32 << 20
_PIECE_BYTES = 1 << 20
_HEAD_BYTES = 1 << 16

_CONTROL_BYTES = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1b"))


class Document(NamedTuple):
    """One document, or one part of a document longer than MAX_DOCUMENT_LENGTH."""

    text: str
    file: int  # index in TextReader.files
    number: int  # among the documents of its file, from 0
    line: int  # of the file where it begins, from 1


class TextReader:
    """The documents of files and folders, one after another, always in the same order.

    Args:
        paths: files, or folders that are searched; hidden files and folders are left out, links
            are followed, and what several names lead to is read once.
        document: where a document of .txt and .md ends: "blank-line" or "file".
        field: the field of a .jsonl object that holds the document.
        leave_out: files and folders that are no text where they lie in one of those folders: what
            a command writes, and the vocabulary.

    Attributes: `files` (paths), `sizes` (of each, on disk, as compressed), `total_bytes` and
    `bytes_read` (the same), and `problems`.

    Raises DataError if a file cannot be what its name says.
    """

    def __init__(
        self,
        paths: Iterable[str],
        document: str = "blank-line",
        field: str = "text",
        leave_out: Iterable[str] = (),
    ):
        if document not in DOCUMENT_RULES:
            raise DataError(f"document must be one of {DOCUMENT_RULES}. Received: {document!r}.")
        self.document = document
        self.field = field
        self.problems = Problems()
        self.files = find_files(paths, leave_out, self.problems)
        for path in self.files:
            _check_file(path, field)
        self.sizes = [size_of(path) for path in self.files]
        self.total_bytes = sum(self.sizes)
        self._folder = ""
        self._finished_bytes = 0
        self._raw: BinaryIO | None = None

    @property
    def bytes_read(self) -> int:
        """Bytes of the files taken from disk so far."""
        return self._finished_bytes + (self._raw.tell() if self._raw else 0)

    def digest(self) -> str:
        """What differs where a file has changed."""
        states = [state_of(path) for path in self.files]
        return hashlib.sha256(json.dumps(states).encode()).hexdigest()

    def seen_from(self, folder: str) -> "TextReader":
        """The same files for a process elsewhere, with other Problems: none yet.

        Args:
            folder: where relative names begin.
        """
        reader = copy.copy(self)
        reader._folder, reader.problems = folder, Problems()
        return reader

    def documents(
        self, first_file: int = 0, skip: int = 0, end_file: int | None = None
    ) -> Iterator[Document]:
        """All documents, or those from document `skip` of file `first_file` on, before `end_file`.

        Problems of what is skipped are not counted.
        """
        if first_file or skip:
            self.problems = Problems()
        self._finished_bytes = sum(self.sizes[:first_file])
        for index in range(len(self.files))[first_file:end_file]:
            for number, (text, line) in enumerate(self._file_documents(index)):
                if index == first_file and number < skip:
                    self.problems = Problems()
                    continue
                yield Document(text, index, number, line)
            self._finished_bytes += self.sizes[index]

    def _file_documents(self, index: int) -> Iterator[tuple[str, int]]:
        path = self.files[index]
        with open_binary(path if is_url(path) else os.path.join(self._folder, path)) as self._raw:
            is_json = split_suffixes(path)[0] == ".jsonl"
            size = MAX_JSON_LINE_BYTES if is_json else _PIECE_BYTES
            # An empty file is an empty one of every compression too.
            stream = decompressed(self._raw, path) if self.sizes[index] else io.BytesIO()
            pieces = self._pieces(path, stream, size)
            if is_json:
                yield from self._json_documents(path, pieces)
            else:
                yield from self._text_documents(path, pieces)
        self._raw = None

    def _pieces(self, path: str, stream: BinaryIO, size: int) -> Iterator[tuple[int, bytes]]:
        """Lines, each with its number; one longer than `size` bytes comes in several pieces."""
        line = 1
        try:
            piece = stream.readline(size).removeprefix(codecs.BOM_UTF8)
            if not piece:
                self.problems.add(path, "empty file")
            while piece:
                yield line, piece
                line += piece.endswith(b"\n")
                piece = stream.readline(size)
        except DAMAGE as error:
            problem = f"damaged, the rest is not read ({str(error) or type(error).__name__})"
            self.problems.add(path, problem, line)

    def _text_documents(
        self, path: str, pieces: Iterable[tuple[int, bytes]]
    ) -> Iterator[tuple[str, int]]:
        by_blank_line = self.document == "blank-line"
        held, held_bytes, first_line, begins = [], 0, 1, True
        for line, piece in pieces:
            # A long line comes in pieces, of which one may be blank.
            is_line = begins and (piece.endswith(b"\n") or len(piece) < _PIECE_BYTES)
            begins = piece.endswith(b"\n")
            ends = by_blank_line and is_line and piece.isspace()
            if not ends:
                first_line = first_line if held else line
                held.append(piece)
                held_bytes += len(piece)
            if not ends and held_bytes < MAX_DOCUMENT_LENGTH:
                continue
            data = b"".join(held)
            cut = len(data) if ends else _cut_point(data)
            if not ends:
                self.problems.add(path, "very long document, divided", first_line)
            yield from self._decoded_document(path, data[:cut], first_line)
            held, held_bytes, first_line = [data[cut:]] if data[cut:] else [], len(data) - cut, line
        yield from self._decoded_document(path, b"".join(held), first_line)

    def _decoded_document(self, path: str, data: bytes, line: int) -> Iterator[tuple[str, int]]:
        text = self._decode(path, data, line)
        if text and not text.isspace():
            yield text, line

    def _json_documents(
        self, path: str, pieces: Iterable[tuple[int, bytes]]
    ) -> Iterator[tuple[str, int]]:
        too_long = 0
        for line, piece in pieces:
            if line == too_long:
                continue
            if len(piece) >= MAX_JSON_LINE_BYTES and not piece.endswith(b"\n"):
                too_long = line
                self.problems.add(path, f"line over {MAX_JSON_LINE_BYTES} bytes, left out", line)
                continue
            if piece.isspace():
                continue
            text, problem = _text_of_json(self._decode(path, piece, line), self.field)
            if problem:
                self.problems.add(path, problem, line)
            parts = cut_long(text, MAX_DOCUMENT_LENGTH) if text else ()
            for part_number, part in enumerate(parts):
                if part_number:
                    self.problems.add(path, "very long document, divided", line)
                yield part, line

    def _decode(self, path: str, data: bytes, line: int) -> str:
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            text = data.decode("utf-8", "replace")
            count = text.count("\ufffd") - data.count("\ufffd".encode())
            line += data.count(b"\n", 0, error.start)
            self.problems.add(path, "bytes that are not UTF-8, read as U+FFFD", line, count)
        return text.replace("\r\n", "\n") if "\r" in text else text


def _check_file(path: str, field: str) -> None:
    """Raise DataError if the beginning of a file shows that it is not UTF-8 text."""
    kind, compression = split_suffixes(path)
    with open_binary(path) as raw:
        try:
            stream = decompressed(raw, path, _HEAD_BYTES)
            head = stream.read(_HEAD_BYTES) if size_of(path) else b""
        except DAMAGE as error:
            if compression_of(_first_bytes(path)) == compression:
                return  # Damaged early: the reader says so, and takes the lines before it.
            raise DataError(f"{path} is no {COMPRESSIONS[compression]} file: {error}.") from error
    if suffix := compression_of(head):
        raise DataError(f"{path} holds {COMPRESSIONS[suffix]} data: name it {suffix}.")
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError(f"{path} is UTF-16: convert it to UTF-8 first (iconv -f UTF-16 -t UTF-8).")
    num_controls = len(head) - len(head.translate(None, _CONTROL_BYTES))
    if num_controls > max(8, len(head) // 100):
        raise DataError(f"{path} is binary, not text.")
    text = codecs.utf_8_decode(head, "replace", False)[0]
    invalid = text.count("\ufffd")
    if invalid >= 10 and 2 * invalid > len(text) - len(text.encode("ascii", "ignore")):
        raise DataError(f"{path} is not UTF-8: convert it first (iconv -f ENCODING -t UTF-8).")
    if kind == ".jsonl":
        _check_json_lines(path, head, field)


def _first_bytes(path: str) -> bytes:
    with open_binary(path) as raw:
        return raw.read(max(map(len, MAGIC)))


def _check_json_lines(path: str, head: bytes, field: str) -> None:
    """Raise DataError if none of the first whole lines can be used: a wrong file or field."""
    lines = head.removeprefix(codecs.BOM_UTF8).split(b"\n")
    if len(head) >= _HEAD_BYTES:
        lines.pop()  # cut in the middle
    lines = [line.decode("utf-8", "replace") for line in lines if line.strip()]
    found = [_text_of_json(line, field) for line in lines]
    if found and not any(text for text, _ in found):
        raise DataError(f"{path}: no line can be used; the first is {found[0][1]}.")


def _text_of_json(line: str, field: str) -> tuple[str, str | None]:
    """(text, None) of a line of JSON, or (what there is, the problem with it)."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return "", "not JSON, left out"
    text = row.get(field) if isinstance(row, dict) else None
    if not isinstance(text, str):
        return "", f"without a text in field {field!r}, left out"
    if not text or text.isspace():
        return "", f"with nothing in field {field!r}, left out"
    try:
        text.encode()
    except UnicodeEncodeError:
        # JSON can spell half of a character ("\ud83d"), which UTF-8 cannot hold.
        return text.encode("utf-8", "replace").decode(), "half of a character, read as ?"
    return text, None


def _cut_point(data: bytes) -> int:
    """Where to divide a long text: after its last line, else word, else whole character."""
    if data.endswith(b"\n"):
        return len(data)
    after_space = data.rfind(b" ", len(data) - _PIECE_BYTES) + 1
    return after_space or codecs.utf_8_decode(data, "replace", False)[1]
