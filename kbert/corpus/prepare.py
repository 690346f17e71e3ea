"""From text files to a token store: every document is tokenized once, in parallel.

    files -> documents -> parts of about 4 million characters -> shards -> final arrays
             (one reader)                              (workers)

The reader hands out parts only as fast as workers finish them, so memory stays the same whatever
the size of the corpus. Where a part begins depends on nothing but the input, so the store is the
same, byte for byte, with any number of workers and however often the run was interrupted.
"""

import dataclasses
import functools
import hashlib
import os
import pathlib
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from tqdm import tqdm

from kbert.corpus.documents import TextReader
from kbert.corpus.filters import FILTERS, FilteredReader
from kbert.corpus.marks import (
    WORDS_OF_JIEBA,
    WORDS_OF_PIECES,
    EntitySource,
    ListedEntities,
    WordMarks,
    check_jieba,
)
from kbert.corpus.problems import Problems
from kbert.corpus.settings import PreparationSettings, Recipe, RunnerSettings
from kbert.corpus.shard_encoder import ShardEncoder
from kbert.corpus.store import SPLITS
from kbert.corpus.store_writer import StoreWriter
from kbert.corpus.workers.parts import parts
from kbert.corpus.workers.pool import Pool, usable_cores
from kbert.corpus.workers.results import info_of
from kbert.corpus.workers.runner import work
from kbert.errors import DataError
from kbert.files import DISK_FULL
from kbert.tensorflow_start import set_threads
from kbert.text.available import tokenizer_class
from kbert.text.vocabulary import load_vocabulary

TASK_CHARACTERS = 4 << 20
# TensorFlow and `re` leave two threads enough to do side by side, and a process costs seconds and
# the memory of another TensorFlow; from three on Python's lock would hold them up.
_MAX_THREADS = 2


def prepare(
    inputs: Iterable[str],
    output: str,
    vocabulary: str,
    *,
    document: str = PreparationSettings.document,
    field: str = PreparationSettings.field,
    processes: int | None = PreparationSettings.processes,
    entities: str | EntitySource | None = None,
    progress: bool = True,
    runner: RunnerSettings | None = None,
    **recipe,
) -> dict:
    """Turn text files into a token store, which `kbert.corpus.store.TokenStore` reads.

    A run that was killed continues when it is called again with the same arguments. More than two
    workers are processes started with "spawn": a script then needs `if __name__ == "__main__":`.

    Args:
        inputs: files and folders.
        output: the folder of the store.
        vocabulary: vocab.txt.
        document, field: where documents begin and end, see TextReader.
        processes: workers; None takes all cores, but no more than the input keeps busy.
        entities: what the store marks where it stands: a file with names, one a line, or a source
            of entities like `kbert.inference.tagged_entities.TaggedEntities`.
        progress: show a progress bar on standard error.
        runner: works on the text instead of this machine alone; the store is the same.
        **recipe: the fields of `Recipe`.

    Returns:
        What store.json holds under "splits" and "summary", and of this call "seconds",
        "megabytes_per_second" (of text, from when the pool of workers exists) and
        "already_finished".

    Raises:
        DataError: an argument or a file cannot be used, or there is no text.
    """
    started = time.monotonic()
    recipe = Recipe(**recipe)
    PreparationSettings(document, field, processes)  # Checks them.
    if recipe.words == WORDS_OF_JIEBA:
        check_jieba()
    if runner is not None:
        runner.check_alone("--processes", processes)
    pieces = load_vocabulary(vocabulary)
    if isinstance(entities, str):
        entities = ListedEntities(entities)
    own = [output, vocabulary] + ([] if entities is None else [entities.path])
    reader = FilteredReader(inputs, document, field, recipe, leave_out=own)
    job = _job(reader, pieces, recipe, entities)
    writer = StoreWriter(output, job)
    already_finished = writer.index is not None
    shards = _Shards([], Problems(), 0, started)
    if not already_finished:
        make = functools.partial(_encoder, pieces, recipe, entities)
        try:
            if runner is None or runner.runner is None:
                shards = _by_this_machine(writer, reader, make, processes, progress)
            else:
                shards = _by_runner(runner, writer, reader, make, job)
            _finish(writer, shards, reader, pieces, recipe, entities)
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise
            raise DataError(
                f"There is no room left on the disk of {output}. Make some, and give the same "
                "command again: it goes on from what is written."
            ) from error
        finally:
            writer.close()
    ended = time.monotonic()
    return {
        "splits": writer.index["splits"],
        "summary": writer.index["summary"],
        "seconds": ended - started,
        "megabytes_per_second": shards.text_bytes / 1e6 / (ended - shards.began),
        "already_finished": already_finished,
    }


class _Shards(NamedTuple):
    """The files of all shards in the order of the text.

    Attributes:
        problems: what was wrong and no shard says.
        text_bytes: of the text that was worked on now.
        began: when workers were ready for it.
    """

    paths: list[pathlib.Path]
    problems: Problems
    text_bytes: int
    began: float


def _by_this_machine(
    writer: StoreWriter,
    reader: TextReader,
    make: Callable[[], ShardEncoder],
    processes: int | None,
    progress: bool,
) -> _Shards:
    processes = processes or _useful_processes(reader.total_bytes)
    alone = processes > _MAX_THREADS
    with Pool(processes, functools.partial(_shard_writer, make, alone), alone) as pool:
        began = time.monotonic()
        text_bytes = _write_shards(writer, reader, pool, progress)
    return _Shards(writer.shard_paths(), Problems(), text_bytes, began)


def _by_runner(
    runner: RunnerSettings,
    writer: StoreWriter,
    reader: TextReader,
    make: Callable[[], ShardEncoder],
    job: dict,
) -> _Shards:
    began = time.monotonic()
    make = functools.partial(_result_maker, make)
    paths = work(runner, reader, TASK_CHARACTERS, make, writer.shards / "parts", job)
    text_bytes = sum(info["num_bytes"] for info in map(info_of, paths))
    return _Shards(paths, reader.problems, text_bytes, began)


def _job(
    reader: TextReader, pieces: list[str], recipe: Recipe, entities: EntitySource | None
) -> dict:
    """Everything that decides the content of the store, in names that a message can use."""
    how = dataclasses.asdict(recipe)
    for name in ("words", *FILTERS):
        if how[name] == getattr(Recipe, name):
            del how[name]  # As in the job of a store that was made when there was nothing else.
    if entities is not None:
        how["entities"] = entities.digest
    return {
        "inputs": reader.digest(),
        "vocabulary": hashlib.sha256("\n".join(pieces).encode()).hexdigest(),
        "document": reader.document,
        "field": reader.field,
        "task_characters": TASK_CHARACTERS,
        **how,
    }


def _marks(recipe: Recipe, entities: EntitySource | None) -> list[str]:
    """What the store says of each token besides its id."""
    return ["words"] * (recipe.words != WORDS_OF_PIECES) + ["entities"] * (entities is not None)


def _useful_processes(total_bytes: int) -> int:
    """All cores; but starting one takes seconds, so few for little."""
    return min(usable_cores(), 1 + total_bytes // TASK_CHARACTERS)


def _encoder(pieces: list[str], recipe: Recipe, entities: EntitySource | None) -> ShardEncoder:
    tokenizer = tokenizer_class()(pieces, **recipe.tokenizer_options)
    markers = {"words": WordMarks, "entities": entities and entities.marker}
    found = [markers[mark](tokenizer) for mark in _marks(recipe, entities)]
    return ShardEncoder(tokenizer, recipe.sentences, recipe.validation_share, found)


def _shard_writer(make: Callable[[], ShardEncoder], alone: bool) -> Callable:
    """What a worker of this machine calls; `alone`: it has a process of its own."""
    if alone:
        # TensorFlow, not imported yet, must not take a GPU's memory, nor all cores.
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
        set_threads(1)
    return make().write


def _result_maker(make: Callable[[], ShardEncoder]) -> Callable:
    """What a runner's worker calls."""
    return make().result


def _write_shards(writer: StoreWriter, reader: TextReader, pool: Pool, progress: bool) -> int:
    """Write the shards that are missing. Returns the bytes of text that they hold."""
    done = writer.shard_infos()
    first = next(number for number in range(len(done) + 1) if number not in done)
    before = done[first - 1] if first else {"next": (0, 0), "bytes_read": 0, "is_last": False}
    if before["is_last"]:
        return 0
    missing = (
        (writer.shard_path(part.number), part.texts, part.info)
        for part in parts(reader, TASK_CHARACTERS, number=first, start=tuple(before["next"]))
        if part.number not in done
    )
    with _ProgressBar(reader.total_bytes, before["bytes_read"], progress) as bar:
        for info in pool.map(missing):
            bar.advance(info)
    return bar.text_bytes


def _finish(
    writer: StoreWriter,
    shards: _Shards,
    reader: TextReader,
    pieces: list[str],
    recipe: Recipe,
    entities: EntitySource | None,
) -> None:
    """Add up what the shards say, make the final arrays and the index."""
    infos = [info_of(path) for path in shards.paths]
    splits = {
        split: {
            name: sum(info["counts"][split][name] for info in infos)
            for name in ("documents", "sentences", "tokens")
        }
        for split in SPLITS
    }
    problems = shards.problems
    for info in infos:
        problems.merge(info["problems"])
    tokens = sum(counts["tokens"] for counts in splits.values())
    if not tokens:
        listed = problems.as_dict()["listed"][:3]
        found = [f"{each['file']}: {each['problem']} ({each['count']})" for each in listed]
        raise DataError(
            f"There is no text to keep in {', '.join(reader.files[:3])}. "
            f"Problems: {'; '.join(found) or 'none'}."
        )
    num_bytes = sum(info["num_bytes"] for info in infos)
    summary = {
        "bytes": num_bytes,
        "bytes_per_token": num_bytes / tokens,
        "unknown_rate": sum(info["num_unknown"] for info in infos) / tokens,
        "problems": problems.as_dict(),
    }
    index = {
        "vocabulary_size": len(pieces),
        "tokenizer": recipe.tokenizer_options,
        "splits": splits,
        "summary": summary,
    }
    if marks := _marks(recipe, entities):
        index["marks"] = marks
    vocabulary = "".join(piece + "\n" for piece in pieces)
    writer.finish(shards.paths, vocabulary.encode(), index)


class _ProgressBar:
    """How much of the files is read and tokenized, the rate in text, the time left."""

    def __init__(self, total_bytes: int, bytes_read: int, shown: bool):
        self.text_bytes = 0
        self._started = time.monotonic()
        self._bar = tqdm(
            total=total_bytes,
            initial=bytes_read,
            desc="prepare",
            disable=None if shown else True,  # None: where there is no terminal.
            bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed}, {remaining} left{postfix}",
        )

    def advance(self, info: dict) -> None:
        """Show that a shard with this `info` is written."""
        self.text_bytes += info["num_bytes"]
        rate = self.text_bytes / 1e6 / (time.monotonic() - self._started)
        self._bar.set_postfix_str(f"{rate:.1f} MB of text/s", refresh=False)
        self._bar.update(info["bytes_read"] - self._bar.n)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._bar.close()
