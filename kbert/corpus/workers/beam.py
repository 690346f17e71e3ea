"""Works on the parts of a text with Apache Beam, on what its runner runs.

    shares of files -> a worker reads the parts of its share -> a file for each, in one folder

The files are read in the order of their names: the result is that of one machine, whichever worker
was first, and however often one tried. A part whose file is there is not worked on again.

Where duplicates are left out the text is read twice: first for the digests of its documents. Of
those that are equal all but the first in the order of the text are duplicates, and each share is
told its own.
"""

import hashlib
import io
import itertools
import json
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import PipelineState

from kbert.corpus.documents import TextReader
from kbert.corpus.filters import FilteredReader, Place
from kbert.corpus.places import exists, is_url, open_binary, remove_all, write_whole
from kbert.corpus.settings import RunnerSettings
from kbert.corpus.workers.parts import Part, Share, shares
from kbert.corpus.workers.results import counters, read_info
from kbert.errors import DataError, RunnerError
from kbert.files import as_json

NAMESPACE = "kbert"  # Of the counters, which the runner's own page shows.
_RUNNERS = {
    "flink": "FlinkRunner",
    "spark": "SparkRunner",
    "dataflow": "DataflowRunner",
    "portable": "PortableRunner",
}


def run(
    runner: RunnerSettings,
    reader: TextReader,
    characters: int,
    make: Callable,
    folder: pathlib.Path,
    job: Mapping,
) -> list[pathlib.Path]:
    """`runner.work`."""
    folder = pathlib.Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    todo = shares(reader.sizes)
    where = str(folder)
    if runner.shared is not None:
        if copied := _all_there(todo, where):  # Of a run that was stopped behind the copying.
            return copied
        # Others may use the same: what they left must not be taken for this run's.
        digest = hashlib.sha256(as_json([str(folder), job]).encode()).hexdigest()[:16]
        where = f"{runner.shared.rstrip('/')}/kbert-{digest}"
        if not is_url(where):
            where = os.path.abspath(where)  # Workers may begin in another folder.
            os.makedirs(where, exist_ok=True)
    run_pipeline(runner, todo, Work(reader, characters, make, where))
    found = _collected(todo, where)
    if runner.shared is None:
        return found
    for path in found:
        write_whole(str(folder / path.rpartition("/")[2]), _bytes_of(path))
    remove_all(where)
    return [folder / path.rpartition("/")[2] for path in found]


def run_pipeline(runner: RunnerSettings, todo: Sequence[Share], work: "Work") -> dict[str, int]:
    """Run the pipeline to its end. Returns its counters; raises `RunnerError` where it fails."""
    options = _options(runner)
    # Not "DirectRunner", which may download a program (Prism) and run that.
    chosen = FnApiRunner() if runner.runner == "direct" else _RUNNERS[runner.runner]
    try:
        pipeline = beam.Pipeline(runner=chosen, options=options)
        # Behind the shuffle each share is on its own, and tried again on its own.
        _ = work.told(pipeline, todo) | beam.Reshuffle() | beam.ParDo(work)
        result = pipeline.run()
        state = _wait(result)
    except Exception as error:
        raise RunnerError(f"Beam's {runner.runner} runner failed: {_last_line(error)}") from error
    if state != PipelineState.DONE:
        raise RunnerError(f"Beam's {runner.runner} runner ended with the state {state}.")
    counters = result.metrics().query()["counters"]
    return {found.key.metric.name: found.result for found in counters}


class Work(beam.DoFn):
    """Makes the results of a share's parts."""

    def __init__(self, reader: TextReader, characters: int, make: Callable, where: str):
        self._reader = reader.seen_from(os.getcwd())
        self._characters = characters
        self._make = make
        self._where = where

    def setup(self):
        self._function = self._make()

    def told(self, pipeline: beam.Pipeline, todo: Sequence[Share]) -> beam.PCollection:
        """What `process` takes: each share, and the places of the duplicates in its files."""
        reader = self._reader
        if not isinstance(reader, FilteredReader) or not reader.recipe.deduplicate:
            return pipeline | beam.Create([(share, ()) for share in todo])
        duplicates = (
            pipeline
            | "Groups" >> beam.Create([share for share in todo if share.number == 0])
            | "Divided" >> beam.Reshuffle()
            | "Digests" >> beam.ParDo(Digests(reader))
            | "Equal" >> beam.GroupByKey()
            | "Duplicates" >> beam.FlatMap(_all_but_first)
        )
        shares = pipeline | "Shares" >> beam.Create([(share.group, share) for share in todo])
        return (shares, duplicates) | beam.CoGroupByKey() | "Told" >> beam.FlatMap(_each_share)

    def process(self, told: tuple[Share, Iterable[Place]]):
        """Yields the path of each result."""
        share, duplicates = told
        reader = self._reader
        if isinstance(reader, FilteredReader):
            reader = reader.knowing(duplicates)
        for part in share.parts(reader, self._characters):
            path = f"{self._where}/{_name(share.group, part.number)}"
            info = _info_of_done(path, part)
            if info is None:
                result = self._function(part.texts, part.info)
                write_whole(path, result.to_bytes())
                info = result.info
            for name, count in counters(info).items():
                Metrics.counter(NAMESPACE, name).inc(count)
            yield path


class Digests(beam.DoFn):
    """Reads the files of a group: the digest of each document, its place, and the group."""

    def __init__(self, reader: FilteredReader):
        self._reader = reader

    def process(self, share: Share):
        for digest, place in self._reader.digests(share.first_file, share.end_file):
            yield digest, (place, share.group)


def _all_but_first(
    equal: tuple[bytes, Iterable[tuple[Place, int]]],
) -> Iterator[tuple[int, Place]]:
    """Of documents that are equal the places of those that are duplicates, by their groups."""
    for place, group in sorted(equal[1])[1:]:
        yield group, place


def _each_share(
    group: tuple[int, tuple[Iterable[Share], Iterable[Place]]],
) -> Iterator[tuple[Share, list[Place]]]:
    shares, duplicates = group[1]
    for share in shares:
        yield share, list(duplicates)


def _name(group: int, number: int) -> str:
    return f"{group:06d}-{number:06d}.npz"


def _info_of_done(path: str, part: Part) -> dict | None:
    """What a run that was stopped made of a part, if it did."""
    info = _info_of(path)
    wanted = json.loads(json.dumps(part.info))
    same = info is not None and all(info.get(name) == wanted[name] for name in wanted)
    return info if same else None


def _info_of(path: str) -> dict | None:
    return read_info(io.BytesIO(_bytes_of(path))) if exists(path) else None


def _bytes_of(path: str) -> bytes:
    with open_binary(path) as file:
        return file.read()


def _all_there(todo: Sequence[Share], folder: str) -> list[pathlib.Path] | None:
    """`_collected`, where nothing is missing."""
    try:
        return list(map(pathlib.Path, _collected(todo, folder)))
    except DataError:
        return None


def _collected(todo: Sequence[Share], where: str) -> list[str]:
    """The paths of all results in the order of the text.

    Raises `DataError` where one is missing: a worker wrote it into a folder of its own machine.
    """
    found = []
    for group in range(max(share.group for share in todo) + 1):
        for number in itertools.count():
            path = f"{where}/{_name(group, number)}"
            info = _info_of(path)
            if info is None:
                raise DataError(
                    f"The workers are done, but {path} is not here: {where} must be a folder that "
                    "all machines share. Choose one with --shared."
                )
            found.append(path)
            if info["is_last"]:
                break
    return found


def _options(runner: RunnerSettings) -> PipelineOptions:
    """Raises `DataError` for options that Beam does not know; other runners have more of them."""
    options = PipelineOptions(list(runner.options))
    if runner.runner in ("direct", "dataflow"):
        given = options.get_all_options(retain_unknown_options=True)
        unknown = sorted(given.keys() - PipelineOptions([]).get_all_options().keys())
        if unknown:
            raise DataError(
                f"Neither kbert nor Beam's {runner.runner} runner has the options "
                f"{', '.join('--' + name for name in unknown)}."
            )
    return options


def _wait(result) -> str:
    """The state in which a pipeline ends. Ctrl-C and SIGTERM cancel it."""
    try:
        return result.wait_until_finish()
    except KeyboardInterrupt:
        result.cancel()
        raise


def _last_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
