"""Counts of words that are kept while they grow, so that a count that was stopped goes on."""

import collections
import pathlib
import time

from kbert.files import read_object, write_json

_FILE = "counts.json"
# A save of four million words takes seconds.
_SECONDS_BETWEEN_SAVES = 60.0


class SavedCounts:
    """Words, how often each occurred, and of how many chunks and bytes of text these are.

    Args:
        folder: where they are kept, and found again; None keeps them in memory only.
    """

    def __init__(self, folder: pathlib.Path | None = None):
        self.words: collections.Counter[str] = collections.Counter()
        self.num_chunks = 0
        self.num_bytes = 0
        self._folder = folder
        self._began = self._saved = time.monotonic()
        if folder is not None and (folder / _FILE).is_file():
            values = read_object(folder / _FILE)
            self.words.update(values["words"])
            self.num_chunks, self.num_bytes = values["num_chunks"], values["num_bytes"]

    def save(self, last: bool = False) -> None:
        """Write them, if the last time, or of the `last` ones the first, is long ago."""
        now = time.monotonic()
        since = self._began if last else self._saved
        if self._folder is None or now - since < _SECONDS_BETWEEN_SAVES:
            return
        sizes = {"num_chunks": self.num_chunks, "num_bytes": self.num_bytes}
        write_json(self._folder / _FILE, {**sizes, "words": self.words})
        self._saved = now
