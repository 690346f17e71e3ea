"""A run's folder belongs to what it was asked for: run.json."""

import json
import pathlib
from collections.abc import Mapping

from kbert.errors import DataError
from kbert.files import read_object, write_json

_FILE = "run.json"


def claim(run: pathlib.Path, wanted: Mapping[str, Mapping]) -> None:
    """Write what a run was asked for into its folder, or compare it with what stands there.

    Args:
        wanted: sections of names and values that JSON can hold.

    Raises `DataError`, naming the differences, for a folder of another run.
    """
    file = run / _FILE
    if not file.is_file():
        write_json(file, wanted)
        return
    before = read_object(file)
    wanted = json.loads(json.dumps(wanted))  # As it is read again: with lists for tuples.
    if not all(isinstance(section, dict) for section in before.values()):
        raise DataError(f"{file} must hold the settings of a run.")
    differences = [
        f"{name} was {before.get(section, {}).get(name)!r}, now {wanted[section].get(name)!r}"
        for section in wanted
        for name in wanted[section] | before.get(section, {})
        if before.get(section, {}).get(name) != wanted[section].get(name)
    ]
    if differences:
        raise DataError(
            f"{run} holds a run with other settings: {'; '.join(differences)}. "
            "Resume it with its own, or choose another output."
        )
