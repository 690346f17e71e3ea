"""What the workers of all frameworks share: encoded rows, batches, answering. NumPy only.

FOLDER/rows.npz, written by benchmarks/finetuning.py, holds the tokens of all rows one after another
(`token_ids`, `segment_ids`), the length of each, and its answers: `label` (rows,); `start` and
`end` (rows,); or `tags` of every token, -100 where none is learned.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np

BATCH = 32
VOCABULARY = 30522
SIZES = {  # layers, width, heads
    "minilm": (6, 384, 12),
    "base": (12, 768, 12),
}
WARM_UP = 4
WINDOW = 50  # batches in which rows are sorted by length, as Hugging Face's sampler does

Row = dict[str, np.ndarray]


def read_rows(folder: str) -> list[Row]:
    """Each row's arrays; those of tokens are (sequence,), others ()."""
    with np.load(f"{folder}/rows.npz") as file:
        arrays = dict(file)
    ends = np.cumsum(arrays.pop("lengths"))
    parts = {
        name: np.split(array, ends[:-1]) if len(array) == ends[-1] else array
        for name, array in arrays.items()
    }
    return [{name: part[number] for name, part in parts.items()} for number in range(len(ends))]


def endless_batches(rows: Sequence[Row], grouped: bool) -> Iterator[list[Row]]:
    """Batches of epoch after epoch, shuffled; `grouped`: of rows of like length.

    A smaller last batch is left out.
    """
    rng = np.random.default_rng(0)
    lengths = np.array([len(row["token_ids"]) for row in rows])
    while True:
        order = rng.permutation(len(rows))
        if grouped:
            windows = np.split(order, range(WINDOW * BATCH, len(order), WINDOW * BATCH))
            order = np.concatenate(
                [window[np.argsort(-lengths[window], kind="stable")] for window in windows]
            )
        batches = [order[first : first + BATCH] for first in range(0, len(order), BATCH)]
        for number in rng.permutation(len(order) // BATCH):
            yield [rows[row] for row in batches[number]]


def stacked(batch: Sequence[Row], length: int | None = None) -> dict[str, np.ndarray]:
    """Padded to the longest row, or to `length`; with `padding_mask`. Tags are padded with -100."""
    length = length or max(len(row["token_ids"]) for row in batch)
    arrays = {}
    for name, first in batch[0].items():
        if first.ndim == 0:
            arrays[name] = np.array([row[name] for row in batch])
            continue
        arrays[name] = np.full((len(batch), length), -100 if name == "tags" else 0, first.dtype)
        for number, row in enumerate(batch):
            arrays[name][number, : len(row[name])] = row[name]
    sizes = np.array([len(row["token_ids"]) for row in batch])
    arrays["padding_mask"] = (np.arange(length) < sizes[:, None]).astype("int32")
    return arrays


def serve(step: Callable[[], int], **about) -> None:
    """Warm up, then answer each line "N" with [rows, seconds] of N steps.

    `step` returns the rows of its batch when its work is done. At the end comes nothing.
    """
    began = time.perf_counter()
    for _ in range(WARM_UP):
        step()
    _answer({**about, "warm_up_seconds": round(time.perf_counter() - began, 1)})
    for line in sys.stdin:
        found = []
        for _ in range(int(line)):
            start = time.perf_counter()
            rows = step()
            found.append([rows, time.perf_counter() - start])
        _answer(found)
    _answer({})


def _answer(value) -> None:
    print("worker: " + json.dumps(value), flush=True)
