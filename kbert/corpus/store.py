"""Reading a token store: token ids on disk as memory-mapped arrays, without TensorFlow."""

import dataclasses
import os
import pathlib
import tokenize
from collections.abc import Mapping, Sequence

import numpy as np

from kbert.checksums import check_file, read_checked
from kbert.errors import DataError
from kbert.settings import MISSING, Settings, setting
from kbert.text.tokenizer_options import TokenizerOptions
from kbert.text.vocabulary import load_vocabulary

FORMAT = 1
SPLITS = ("train", "validation")
# Of token ids: the smaller one where it holds them all.
DTYPES = ("uint16", "uint32")
# What a store may say of each token besides its id: numbers of one byte.
MARKS = ("words", "entities")
# What NumPy raises for a file that is none of its own; its header is an expression of Python's.
_DAMAGE = (ValueError, OSError, EOFError, SyntaxError, tokenize.TokenError)


@dataclasses.dataclass(frozen=True)
class Split:
    """The documents of one split, one after another.

    Attributes:
        tokens: all token ids, (tokens,).
        sentences: token offset where each sentence begins, (sentences + 1,); the last is the end.
        documents: sentence index where each document begins, (documents + 1,); the last is the end.
        words: 1 where a word begins, else 0, (tokens,); None where the store does not say it.
        entities: 1 where an entity begins, 2 where it goes on, else 0, (tokens,); or None.
    """

    tokens: np.ndarray
    sentences: np.ndarray
    documents: np.ndarray
    words: np.ndarray | None = None
    entities: np.ndarray | None = None

    @property
    def num_sentences(self) -> int:
        return len(self.sentences) - 1

    @property
    def num_documents(self) -> int:
        return len(self.documents) - 1


@dataclasses.dataclass(frozen=True)
class _Counts(Settings):
    """Of one split, as store.json states them."""

    tokens: int = setting(MISSING, "token ids", at_least=0)
    sentences: int = setting(MISSING, "sentences", at_least=0)
    documents: int = setting(MISSING, "documents", at_least=0)


class TokenStore:
    """What `kbert prepare` wrote: two splits, the vocabulary and the tokenizer's options.

    `marks` are those of `MARKS` that it has.

    Opening it reads all of it once, for the checksums: a second for 4 GB that are in memory.

    Raises `DataError` where the folder is not a finished store, or not what was written.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = pathlib.Path(path)
        index = _read_index(self.path)
        file = self.path / "store.json"
        pieces = self.path / "vocab.txt"
        check_file(pieces, "vocab.txt", index, file)
        self.vocabulary = load_vocabulary(pieces)
        options = TokenizerOptions.from_json(index["tokenizer"], f"{file}, tokenizer")
        self.tokenizer_options = options.arguments()
        self.summary = index["summary"]
        self.marks = tuple(index["marks"])
        if len(self.vocabulary) != index.get("vocabulary_size"):
            raise DataError(
                f"{pieces} must have the {index.get('vocabulary_size')!r} pieces that the store "
                f"was made with. Received: {len(self.vocabulary)}."
            )
        self.splits = {name: _open_split(self.path, name, index) for name in SPLITS}

    def check_reading(
        self, path: str | os.PathLike, vocabulary: Sequence[str], options: Mapping
    ) -> None:
        """Raise `DataError` for a model whose tokenizer would not make this store of its text."""
        if list(vocabulary) != self.vocabulary:
            raise DataError(f"{path} and {self.path} must have the same vocabulary.")
        own, others = (
            TokenizerOptions.from_json(each, str(where))
            for each, where in ((self.tokenizer_options, self.path), (options, path))
        )
        if not own.reads_as(others):
            raise DataError(
                f"{path} must read text as that of {self.path} was read: {own.arguments()}. "
                f"Received: {others.arguments()}."
            )

    def __getitem__(self, name: str) -> Split:
        return self.splits[name]


def _read_index(path: pathlib.Path) -> dict:
    """What store.json holds; every value that opening needs is of the type that it must have."""
    file = path / "store.json"
    if not file.is_file():
        unfinished = (path / "shards").is_dir()
        reason = "is unfinished: run kbert prepare again" if unfinished else "has no store.json"
        raise DataError(f"{path} must be a token store that kbert prepare wrote; it {reason}.")
    index = read_checked(file)
    if index.get("format") != FORMAT:
        raise DataError(f"{file} must be of format {FORMAT}. Received: {index.get('format')!r}.")
    for key in ("tokenizer", "summary", "splits"):
        if not isinstance(index.get(key), dict):
            raise DataError(
                f"{file} must have a JSON object under {key!r}. Received: {index.get(key)!r}."
            )
    marks = index.setdefault("marks", [])
    if not isinstance(marks, list) or any(mark not in MARKS for mark in marks):
        raise DataError(f"{file} must have marks of {', '.join(MARKS)}. Received: {marks!r}.")
    if index.get("dtype") not in DTYPES:
        raise DataError(
            f"{file} must have a dtype of {', '.join(DTYPES)}. Received: {index.get('dtype')!r}."
        )
    return index


def _open_split(path: pathlib.Path, split: str, index: dict) -> Split:
    file = path / "store.json"
    values = index["splits"].get(split)
    if not isinstance(values, dict):
        raise DataError(f"{file} must have the counts of the split {split}. Received: {values!r}.")
    counts = _Counts.from_json(values, f"{file}, {split}")
    arrays = {
        "tokens": _open_array(path, split, "tokens", index, counts.tokens, index["dtype"]),
        "sentences": _open_array(path, split, "sentences", index, counts.sentences + 1, "int64"),
        "documents": _open_array(path, split, "documents", index, counts.documents + 1, "int64"),
    }
    for mark in index["marks"]:
        arrays[mark] = _open_array(path, split, mark, index, counts.tokens, "uint8")
    largest = int(arrays["tokens"].max(initial=0))
    if largest >= index["vocabulary_size"]:
        raise DataError(
            f"{path / split / 'tokens.npy'} must hold ids below {index['vocabulary_size']}, the "
            f"size of the vocabulary. Received: {largest}."
        )
    for name, end in (("sentences", counts.tokens), ("documents", counts.sentences)):
        offsets = arrays[name]
        if offsets[0] != 0 or offsets[-1] != end or (offsets[1:] < offsets[:-1]).any():
            raise DataError(f"{path / split / name}.npy must rise from 0 to {end}.")
    return Split(**arrays)


def _open_array(
    path: pathlib.Path, split: str, name: str, index: dict, length: int, dtype: str
) -> np.ndarray:
    """A one-dimensional array, memory-mapped."""
    file = path / split / f"{name}.npy"
    check_file(file, f"{split}/{name}.npy", index, path / "store.json")
    try:
        # An empty array cannot be memory-mapped.
        array = np.load(file, mmap_mode="r" if length else None)
    except _DAMAGE as error:
        raise DataError(f"{file} cannot be read: {error}") from error
    if array.shape != (length,) or array.dtype.name != dtype:
        raise DataError(
            f"{file} must hold {length} numbers, {dtype}. Received: shape {array.shape}, "
            f"{array.dtype.name}."
        )
    return array
