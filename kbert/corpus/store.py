"""Reading a token store: token ids on disk as memory-mapped arrays, without TensorFlow."""

import dataclasses
import pathlib

import numpy as np

from kbert.errors import DataError
from kbert.files import read_object
from kbert.text.vocabulary import load_vocabulary

FORMAT = 1
SPLITS = ("train", "validation")


@dataclasses.dataclass(frozen=True)
class Split:
    """The documents of one split, one after another.

    Attributes:
        tokens: all token ids, (tokens,).
        sentences: token offset where each sentence begins, (sentences + 1,); the last is the end.
        documents: sentence index where each document begins, (documents + 1,); the last is the end.
    """

    tokens: np.ndarray
    sentences: np.ndarray
    documents: np.ndarray

    @property
    def num_sentences(self) -> int:
        return len(self.sentences) - 1

    @property
    def num_documents(self) -> int:
        return len(self.documents) - 1


class TokenStore:
    """What `kbert prepare` wrote: two splits, the vocabulary and the tokenizer's options.

    Raises `DataError` where the folder is not a finished store.
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)
        index = _read_index(self.path)
        self.vocabulary = load_vocabulary(self.path / "vocab.txt")
        self.tokenizer_options = index["tokenizer"]
        self.summary = index["summary"]
        if len(self.vocabulary) != index["vocabulary_size"]:
            raise DataError(
                f"{self.path / 'vocab.txt'} must have the {index['vocabulary_size']} pieces that "
                f"the store was made with. Received: {len(self.vocabulary)}."
            )
        self.splits = {name: _open_split(self.path / name, index) for name in SPLITS}

    def __getitem__(self, name: str) -> Split:
        return self.splits[name]


def _read_index(path: pathlib.Path) -> dict:
    file = path / "store.json"
    if not file.is_file():
        unfinished = (path / "shards").is_dir()
        reason = "is unfinished: run kbert prepare again" if unfinished else "has no store.json"
        raise DataError(f"{path} must be a token store that kbert prepare wrote; it {reason}.")
    index = read_object(file)
    if index.get("format") != FORMAT:
        raise DataError(f"{file} must be of format {FORMAT}. Received: {index.get('format')!r}.")
    return index


def _open_split(folder: pathlib.Path, index: dict) -> Split:
    counts = index["splits"][folder.name]
    lengths = {
        "tokens": counts["tokens"],
        "sentences": counts["sentences"] + 1,
        "documents": counts["documents"] + 1,
    }
    arrays = {}
    for name, length in lengths.items():
        file = folder / f"{name}.npy"
        try:
            # An empty array cannot be memory-mapped.
            arrays[name] = np.load(file, mmap_mode="r" if length else None)
        except (ValueError, OSError, EOFError) as error:
            raise DataError(f"{file} cannot be read: {error}") from error
        if arrays[name].shape != (length,):
            raise DataError(
                f"{file} must hold {length} numbers. Received: shape {arrays[name].shape}."
            )
    return Split(**arrays)
