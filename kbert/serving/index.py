"""The index of an export: assets/config.json says which bytes every other file has."""

import pathlib

from kbert.checksums import KEY, check_file, read_checked, with_checksums
from kbert.files import read_object, write_json

_INDEX = pathlib.Path("assets", "config.json")


def write_index(folder: pathlib.Path) -> None:
    """Add the checksums of all files of a SavedModel to its configuration."""
    found = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    names = [path.as_posix() for path in found if path != _INDEX]
    values = read_object(folder / _INDEX)
    write_json(folder / _INDEX, with_checksums(values, _INDEX.name, folder, names))


def check_index(folder: pathlib.Path) -> None:
    """Raise `DataError` for a file that is damaged or missing, naming it.

    What an older version exported has no checksums, and is not checked.
    """
    if not (folder / _INDEX).is_file():
        return
    values = read_checked(folder / _INDEX)
    for name in values.get(KEY, {}):
        if name != _INDEX.name:
            check_file(folder / name, name, values, folder / _INDEX)
