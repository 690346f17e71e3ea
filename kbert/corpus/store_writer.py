"""Writing a token store: shards first, then the final arrays.

    STORE/store.json            written last: a folder without it is unfinished
    STORE/vocab.txt
    STORE/train/                tokens.npy sentences.npy documents.npy, words.npy, entities.npy
    STORE/validation/           the same
    STORE/shards/job.json       while it is being written: what goes in, to refuse anything else
    STORE/shards/000000.npz     the tokens of some documents, complete as soon as the name exists
    STORE/shards/parts/         the same, by workers of Apache Beam (beam.py)

Shards let a run that was killed continue; the final arrays are made from them in one pass.
"""

import contextlib
import json
import pathlib
import shutil
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from kbert.checksums import read_checked, with_checksums
from kbert.corpus.store import DTYPES, FORMAT, SPLITS
from kbert.corpus.workers.results import Result, read_info
from kbert.errors import DataError
from kbert.files import locked, read_object, replacing, write_json

# The arrays of a split and their dtype; lengths in shards become offsets in the store.
_LENGTHS = ("sentences", "documents")


def token_dtype(vocabulary_size: int) -> np.dtype:
    """The smallest unsigned integer type that holds every token id."""
    return np.dtype(DTYPES[vocabulary_size > 1 << 16])


def shard(splits: dict[str, dict[str, np.ndarray]], info: dict) -> Result:
    """What a shard holds.

    Args:
        splits: for each split "tokens" (ids), "sentences" (tokens in each sentence) and
            "documents" (sentences in each document); marks of tokens by their names.
        info: what JSON can hold.
    """
    arrays = {f"{split}_{name}": array for split in SPLITS for name, array in splits[split].items()}
    return Result(arrays, info)


def write_shard(path: pathlib.Path, found: Result) -> None:
    """Write one shard, STORE/shards/NUMBER.npz, so that a file of this name is always whole."""
    with replacing(path) as temporary, open(temporary, "wb") as file:
        found.write(file)


class StoreWriter:
    """A store that is being written, by one process at a time.

    Args:
        path: the folder; new, empty, or with the unfinished or finished store of the same job.
        job: everything that decides what the store will hold, as JSON.

    Attributes: `index` is what store.json holds if the store is already finished, else None.
    Raises DataError if the folder holds anything else.
    """

    def __init__(self, path, job: dict):
        self.path = pathlib.Path(path)
        self.shards = self.path / "shards"
        self.job = json.loads(json.dumps(job))
        self.index = self._finished_index()
        self._lock = contextlib.ExitStack()
        if self.index is None:
            self._begin()

    def _finished_index(self) -> dict | None:
        file = self.path / "store.json"
        if not file.exists():
            return None
        index = read_checked(file)
        self._require_same_job(index.get("job"), file, "holds a store made")
        shutil.rmtree(self.shards, ignore_errors=True)
        return index

    def _require_same_job(self, job, file: pathlib.Path, verb: str) -> None:
        if job == self.job:
            return
        if not isinstance(job, dict):
            raise DataError(f"{file} does not say what the token store was made from.")
        names = [name for name in self.job if job.get(name) != self.job[name]]
        raise DataError(
            f"{self.path} {verb} with other {' and '.join(names) or 'settings'}: "
            "choose another folder, or remove this one."
        )

    def _begin(self) -> None:
        if self.path.exists() and not self.shards.is_dir() and any(self.path.iterdir()):
            raise DataError(f"{self.path} is not empty and holds no token store.")
        self._lock.enter_context(locked(self.path))
        self.shards.mkdir(parents=True, exist_ok=True)
        for leftover in self.shards.glob(".*.tmp"):
            leftover.unlink()
        job_file = self.shards / "job.json"
        if job_file.exists():
            self._require_same_job(read_object(job_file), job_file, "was begun")
        else:
            write_json(job_file, self.job)

    def shard_path(self, number: int) -> pathlib.Path:
        return self.shards / f"{number:06d}.npz"

    def shard_infos(self) -> dict[int, dict]:
        """The `info` of every shard that is there, by number."""
        infos = {}
        for path in sorted(self.shards.glob("*.npz")):
            with open(path, "rb") as file:
                info = read_info(file)
            if info is None:
                path.unlink()  # A power cut can leave less than was written: it is made again.
            else:
                infos[int(path.stem)] = info
        return infos

    def shard_paths(self) -> list[pathlib.Path]:
        """The files of all shards, in order."""
        return sorted(self.shards.glob("*.npz"), key=lambda path: int(path.stem))

    def finish(self, shards: Sequence[pathlib.Path], vocabulary: bytes, index: dict) -> None:
        """Stream shards, one after another, into the final arrays, then write store.json.

        Args:
            shards: their files.
            vocabulary: the content of vocab.txt.
            index: "vocabulary_size", "tokenizer", "splits" (counts), "summary", and maybe "marks":
                the names of those that shards have.
        """
        dtype = token_dtype(index["vocabulary_size"])
        of_tokens = {"tokens": dtype} | dict.fromkeys(index.get("marks", ()), np.dtype(np.uint8))
        for split in SPLITS:
            self._write_split(split, shards, of_tokens, index["splits"][split])
        with replacing(self.path / "vocab.txt") as temporary:
            temporary.write_bytes(vocabulary)
        arrays = [f"{split}/{name}.npy" for split in SPLITS for name in (*of_tokens, *_LENGTHS)]
        self.index = with_checksums(
            {"format": FORMAT, "dtype": dtype.name, **index, "job": self.job},
            "store.json",
            self.path,
            ["vocab.txt", *arrays],
        )
        write_json(self.path / "store.json", self.index)
        shutil.rmtree(self.shards, ignore_errors=True)  # The next process would remove them, too.
        self.close()

    def _write_split(
        self,
        split: str,
        shards: Sequence[pathlib.Path],
        of_tokens: dict[str, np.dtype],
        counts: dict,
    ) -> None:
        folder = self.path / split
        folder.mkdir(exist_ok=True)
        for name, dtype in of_tokens.items():
            with _npy_file(folder / f"{name}.npy", dtype, counts["tokens"]) as write:
                for path in shards:
                    with np.load(path) as found:
                        write(found[f"{split}_{name}"])
        for name in _LENGTHS:
            with _npy_file(folder / f"{name}.npy", np.dtype(np.int64), counts[name] + 1) as write:
                write(np.zeros(1, np.int64))
                total = 0
                for path in shards:
                    with np.load(path) as found:
                        ends = total + np.cumsum(found[f"{split}_{name}"], dtype=np.int64)
                    write(ends)
                    total = int(ends[-1]) if len(ends) else total

    def close(self) -> None:
        """Let another process write the store. What was written so far stays."""
        self._lock.close()


@contextlib.contextmanager
def _npy_file(
    path: pathlib.Path, dtype: np.dtype, length: int
) -> Iterator[Callable[[np.ndarray], None]]:
    """A one-dimensional .npy file: the function that appends a piece to it."""
    missing = length

    def write(array: np.ndarray) -> None:
        nonlocal missing
        # Not `tofile`, which loses the end without a word where the disk is full.
        file.write(np.ascontiguousarray(array, dtype).data)
        missing -= len(array)

    with replacing(path) as temporary, open(temporary, "wb") as file:
        descr = np.lib.format.dtype_to_descr(dtype)
        header = {"descr": descr, "fortran_order": False, "shape": (length,)}
        np.lib.format.write_array_header_1_0(file, header)
        yield write
        if missing:
            raise RuntimeError(f"{path} lacks {missing} numbers: shards do not add up.")
