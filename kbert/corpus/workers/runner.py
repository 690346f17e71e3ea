"""What Apache Beam's workers make of the parts of a text; Beam is imported when it is asked for."""

import pathlib
from collections.abc import Callable, Mapping

from kbert.corpus.documents import TextReader
from kbert.corpus.places import check_beam
from kbert.corpus.settings import RunnerSettings


def work(
    runner: RunnerSettings,
    reader: TextReader,
    characters: int,
    make: Callable,
    folder: pathlib.Path,
    job: Mapping,
) -> list[pathlib.Path]:
    """What workers make of the parts of a text: a file for each, in the order of the text.

    Args:
        characters: of a part (kbert/corpus/workers/parts.py).
        make: called once by each worker; returns the function of (texts, info) that makes a
            `Result` (kbert/corpus/workers/results.py).
        folder: for the files. What is there already, from the same job stopped, stays.
        job: everything that decides what the files will hold, as JSON.

    Raises `DataError` where the runner fails.
    """
    check_beam()
    from kbert.corpus.workers.beam import run

    return run(runner, reader, characters, make, folder, job)
