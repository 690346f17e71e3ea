"""A run's folder belongs to one run: run.json says what it was asked for."""

import json
import pathlib
from collections.abc import Mapping

from kbert.errors import DataError
from kbert.files import read_object, write_json

FILE = "run.json"


def unfinished(output: pathlib.Path) -> pathlib.Path:
    """The folder in which the run for an output works, until the output is whole."""
    return output.with_name(f"{output.name}.unfinished")


def claim(run: pathlib.Path, wanted: Mapping[str, Mapping]) -> None:
    """Write what a run is asked for into its folder, or see that it was asked for the same.

    Args:
        wanted: sections of names and values that JSON can hold.

    Raises `DataError`, naming the differences, for the folder of another run: resumed it would not
    end where it was going.
    """
    if not (run / FILE).is_file():
        write_json(run / FILE, wanted)
    elif found := differences(run, wanted):
        raise DataError(
            f"{run} holds a run with other settings: {'; '.join(found.values())}. "
            "Resume it with its own, or choose another --output."
        )


def differences(run: pathlib.Path, wanted: Mapping[str, Mapping]) -> dict[str, str]:
    """Name of a setting -> what it was and what it is now, of those that run.json has otherwise.

    Raises `DataError` for a run.json that does not hold settings.
    """
    before = read_object(run / FILE)
    wanted = json.loads(json.dumps(wanted))  # As it is read again: with lists for tuples.
    try:
        return {
            name: f"{name} was {before[section].get(name)!r}, now {value!r}"
            for section in wanted
            for name, value in wanted[section].items()
            if before[section].get(name) != value
        }
    except (KeyError, AttributeError, TypeError) as error:
        raise DataError(f"{run / FILE} must hold the settings of a run: {error!r}.") from error
