"""A run's folder belongs to one run: run.json says what it was asked for."""

import contextlib
import hashlib
import json
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping

from kbert.errors import DataError, RunnerError
from kbert.files import as_json, locked, naming, read_object, remove_folder, write_json

FILE = "run.json"


def unfinished(output: pathlib.Path) -> pathlib.Path:
    """The folder in which the run for an output works, until the output is whole."""
    output = output.resolve()  # "." has no name.
    return output.with_name(f"{output.name}.unfinished")


@contextlib.contextmanager
def claimed(output: str | os.PathLike, wanted: Mapping[str, Mapping]) -> Iterator[pathlib.Path]:
    """The folder in which the run for an output works, for the block that makes the output.

    What a block that was stopped left there is found by the next one, and what a runner that failed
    did. At the end the folder goes, and where the block raises another `DataError`: another run of
    the same input would raise it, too.

    Raises `DataError` for the folder of another run, and while another process has it.
    """
    output = pathlib.Path(output).resolve()
    work = unfinished(output)
    with locked(output), naming(output):
        claim(work, wanted)
        try:
            yield work
        except RunnerError:
            raise
        except DataError:
            remove_folder(work)
            raise
        remove_folder(work)


def stamp(paths: Iterable[str | os.PathLike]) -> str:
    """What differs where a file has changed, of these or in folders among these."""
    files = [
        file
        for path in map(pathlib.Path, paths)
        for file in (sorted(path.rglob("*")) if path.is_dir() else [path])
        if file.is_file()
    ]
    found = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    digest = hashlib.sha256(as_json(found).encode()).hexdigest()[:16]
    return f"{len(files)} files of {sum(size for _, size, _ in found)} bytes ({digest})"


def claim(
    run: pathlib.Path, wanted: Mapping[str, Mapping], defaults: Mapping[str, Mapping] | None = None
) -> None:
    """Write what a run is asked for into its folder, or see that it was asked for the same.

    Args:
        wanted: sections of names and values that JSON can hold.
        defaults: of the same form: what a run.json means that does not say a name.

    Raises `DataError`, naming the differences, for the folder of another run: resumed it would not
    end where it was going.
    """
    if not (run / FILE).is_file():
        write_json(run / FILE, wanted)
    elif found := differences(run, wanted, defaults):
        raise DataError(
            f"{run} holds a run with other settings: {'; '.join(found.values())}. "
            "Resume it with its own, or choose another --output."
        )


def differences(
    run: pathlib.Path, wanted: Mapping[str, Mapping], defaults: Mapping[str, Mapping] | None = None
) -> dict[str, str]:
    """Name of a setting -> what it was and what it is now, of those that run.json has otherwise.

    Arguments: as `claim`.

    Raises `DataError` for a run.json that does not hold settings.
    """
    before = read_object(run / FILE)
    # As it is read again: with lists for tuples.
    wanted, defaults = json.loads(json.dumps([wanted, defaults or {}]))
    try:
        before = {section: {**defaults.get(section, {}), **before[section]} for section in wanted}
        return {
            name: f"{name} was {before[section].get(name)!r}, now {value!r}"
            for section in wanted
            for name, value in wanted[section].items()
            if before[section].get(name) != value
        }
    except (KeyError, AttributeError, TypeError) as error:
        raise DataError(f"{run / FILE} must hold the settings of a run: {error!r}.") from error
