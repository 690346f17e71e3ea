"""Files answered by a model, in parts: what was stopped goes on.

OUTPUT.unfinished/   run.json        what was asked for
                     answers.jsonl   an answer a line
                     progress.json   how much of it is done
OUTPUT               at the end, whole
"""

import contextlib
import dataclasses
import itertools
import json
import os
import shutil
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Sequence

from tqdm import tqdm

from kbert.claim import claimed, stamp
from kbert.files import as_json, check_writable, read_object, replacing, write_json
from kbert.inference.answer_rows import answer_rows, is_table
from kbert.inference.answerer import Answerer
from kbert.inference.lines import FIRST_GROUP
from kbert.inference.pieces import STANDARD_INPUT, pieces_of_files
from kbert.inference.settings import ComputeSettings
from kbert.tasks.readers.bad_rows import BadRows
from kbert.tasks.readers.glue import check_model
from kbert.tasks.readers.glue_files import submission

_ANSWERS, _PROGRESS = "answers.jsonl", "progress.json"
# A save waits for the disk, which takes as long as many answers of a small model.
_SECONDS_BETWEEN_SAVES = 2.0


@dataclasses.dataclass(frozen=True)
class AnswerJob:
    """What is answered, and how; it says whether two runs give the same answers.

    Args:
        model: the folder that answers.
        files: names of files; "-", or none, for standard input.
        compute: of the model.
        columns: the task's options that say which columns a file has, where they are not as in
            training.
        glue: the name of a GLUE set whose submission is written; None for the answers themselves.
        skip_bad: count bad rows instead of stopping at the first.
    """

    model: str
    files: Sequence[str]
    compute: ComputeSettings = ComputeSettings()
    columns: Collection[str] = ()
    glue: str | None = None
    skip_bad: bool = False

    def check(self, output: str | None) -> None:
        """Raise DataError or OSError for files that cannot be read or written, before any work."""
        for name in self.files:
            if name != STANDARD_INPUT and not os.path.isdir(name):
                open(name, "rb").close()
        if output is not None:
            check_writable(output, inputs=self.files)


def answer_files(answerer: Answerer, job: AnswerJob, output: str | None = None) -> dict:
    """Write the answers to all rows or lines of files; the same files give the same bytes.

    Args:
        answerer: what is in the folder `job.model`.
        output: .tsv and .csv are tables, every other name JSON lines; None prints these, each as
            soon as it is known. Stopped at any moment, the same call goes on from where it was: of
            standard input, a pipe or a device, which come only once, from the start.

    Returns how many "answers" there are, "texts_cut", and of bad rows the report.

    Raises DataError for what does not fit, and for an output that belongs to another job.
    """
    if job.glue is not None:
        check_model(job.glue, answerer.task)
    bad = BadRows(job.skip_bad)
    # Not between answers on a terminal.
    hidden = True if output is None and sys.stdout.isatty() else None
    with tqdm(desc="predict", unit=" rows", disable=hidden) as bar:
        if output is not None and _can_go_on(job.files, output):
            count = _answer_in_parts(answerer, job, output, bad, bar)
        else:
            count = _answer_at_once(answerer, job, output, bad, bar)
    return {"answers": count, "texts_cut": answerer.cut, **(bad.report() if bad.messages else {})}


def _answer_at_once(answerer, job, output, bad, bar) -> int:
    pieces = pieces_of_files(answerer.task, job.files, job.columns, bad, bar)
    answers = _Counted(answer for piece in pieces for answer in answerer.answer_piece(piece, bar))
    with contextlib.ExitStack() as stack:
        file = None
        if output is not None:
            path = stack.enter_context(replacing(output))
            file = stack.enter_context(open(path, "w", encoding="utf-8"))
        for line in _lines(job, answers, output):
            print(line, file=file, flush=file is None)
    return answers.count


def _answer_in_parts(answerer, job, output, bad, bar) -> int:
    with claimed(output, _request(answerer, job)) as work:
        count = _extend(answerer, job, work, bad, bar)
        with replacing(output) as temporary:
            _finish(job, work / _ANSWERS, temporary, output)
    return count


@dataclasses.dataclass
class _Progress:
    """What is done: of the pieces, of answers.jsonl, of the answers, of the texts that were cut."""

    pieces: int = 0
    bytes: int = 0
    answers: int = 0
    cut: int = 0


def _extend(answerer, job, work, bad, bar) -> int:
    """Add the answers that answers.jsonl does not have; returns how many it has then."""
    done, saved = _progress(work), time.monotonic()
    answerer.cut = done.cut
    pieces = pieces_of_files(answerer.task, job.files, job.columns, bad, bar)
    # Read again, but not computed: so bad rows are counted as if there had been no stop.
    for piece in itertools.islice(pieces, done.pieces):
        bar.update(piece.num_answers)
    with open(work / _ANSWERS, "ab") as file:
        file.truncate(done.bytes)
        file.seek(done.bytes)
        for piece in pieces:
            for answer in answerer.answer_piece(piece, bar):
                file.write(as_json(answer).encode("utf-8") + b"\n")
            done.pieces += 1
            done.answers += piece.num_answers
            if time.monotonic() - saved > _SECONDS_BETWEEN_SAVES:
                _save(file, work, done, answerer.cut)
                saved = time.monotonic()
        _save(file, work, done, answerer.cut)
    return done.answers


def _progress(work) -> _Progress:
    answers = work / _ANSWERS
    if not (work / _PROGRESS).is_file() or not answers.is_file():
        return _Progress()
    done = _Progress(**read_object(work / _PROGRESS))
    return done if done.bytes <= answers.stat().st_size else _Progress()


def _save(file, work, done, cut) -> None:
    file.flush()
    os.fsync(file.fileno())
    done.bytes, done.cut = file.tell(), cut
    write_json(work / _PROGRESS, dataclasses.asdict(done))


def _finish(job, answers, temporary, output) -> None:
    """Write the output from answers.jsonl, which stays: this can be killed, too."""
    if job.glue is None and not is_table(output):
        shutil.copyfile(answers, temporary)
        return
    with open(answers, encoding="utf-8") as found, open(temporary, "w", encoding="utf-8") as file:
        for line in _lines(job, map(json.loads, found), output):
            print(line, file=file)


def _can_go_on(files, output) -> bool:
    """Whether all input is there a second time, and the output is a file."""
    regular = all(os.path.isfile(name) or os.path.isdir(name) for name in files)
    return bool(files) and regular and (os.path.isfile(output) or not os.path.exists(output))


def _request(answerer, job) -> dict:
    """What two runs must agree in, so that one can go on where the other stopped."""
    return {
        "files": {name: stamp([name]) for name in (job.model, *job.files)},
        "task": {"task": answerer.task.name, **answerer.task.to_json()},
        "settings": {
            **dataclasses.asdict(job.compute),
            "columns": sorted(job.columns),
            "glue": job.glue,
            "skip_bad": job.skip_bad,
            "with_input": answerer.with_input,
            # What is done is counted in groups of lines: those of another size count otherwise.
            "first_group": FIRST_GROUP,
        },
    }


class _Counted(Iterator):
    """The same items, counted."""

    def __init__(self, items: Iterable):
        self._items = iter(items)
        self.count = 0

    def __next__(self):
        item = next(self._items)
        self.count += 1
        return item


def _lines(job, answers, output) -> Iterator[str]:
    if job.glue is not None:
        return submission(job.glue, answers)
    return answer_rows(answers, output, job.skip_bad)
