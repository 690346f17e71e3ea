"""Which files of those that are given, and of folders, are text by their names."""

import os
from collections.abc import Iterable

from kbert.corpus.compression import COMPRESSIONS, split_suffixes
from kbert.corpus.places import files_below, is_url
from kbert.corpus.problems import Problems
from kbert.errors import DataError
from kbert.files import is_there

SUFFIXES = (".txt", ".md", ".jsonl")


def find_files(paths: Iterable[str], leave_out: Iterable[str], problems: Problems) -> list[str]:
    """Files as given, folders replaced by the text files in them; each real file once."""
    if isinstance(paths, (str, os.PathLike)):
        paths = [paths]
    seen = set(map(os.path.realpath, leave_out))
    found: dict[str, str] = {}  # by where links lead
    for path in map(os.fspath, paths):
        if is_url(path) or os.path.isdir(path):
            find = _files_of_url if is_url(path) else _files_of_folder
            inside = find(path, seen, problems)
            if not inside:
                raise DataError(f"Folder {path} has no file with a name in {_expected()}.")
        else:
            _check_name(path, seen)
            inside = [path]
        for file in inside:
            if found.setdefault(os.path.realpath(file), file) != file:
                problems.add(file, "another name of a file that is read already, left out")
    if not found:
        raise DataError("No file or folder with text was given.")
    return list(found.values())


def _check_name(path: str, no_text: set[str]) -> None:
    """Raise DataError if a path that was given is no text file by its name and kind."""
    if not is_there(path):
        raise DataError(f"There is no file or folder {path}.")
    if not os.path.isfile(path):
        raise DataError(f"{path} is not a regular file: it must be readable more than once.")
    if os.path.realpath(path) in no_text:
        raise DataError(f"{path} is to be read as text, but is the vocabulary or the output too.")
    if split_suffixes(path)[0] not in SUFFIXES:
        raise DataError(f"{path} must have a name in {_expected()}.")


def _expected() -> str:
    return f"{' '.join('*' + s for s in SUFFIXES)}, plain or with {' '.join(COMPRESSIONS)}"


def _files_of_folder(folder: str, no_text: set[str], problems: Problems) -> list[str]:
    """The text files below a folder, in sorted order; links to folders are followed."""
    found, seen = [], {os.path.realpath(folder)}
    for directory, subfolders, names in os.walk(folder, onerror=_raise, followlinks=True):
        kept = []
        for name in sorted(subfolders):
            real = os.path.realpath(os.path.join(directory, name))
            if name.startswith("."):
                problems.add(folder, "hidden folders, left out")
            elif real in no_text:
                problems.add(folder, "output or vocabulary, left out")
            elif real in seen:
                problems.add(folder, "links to folders that are read already, left out")
            else:
                kept.append(name)
                seen.add(real)
        subfolders[:] = kept  # In place: os.walk descends in this order.
        for name in sorted(names):
            path = os.path.join(directory, name)
            if os.path.realpath(path) in no_text:
                problems.add(folder, "output or vocabulary, left out")
            elif (
                not name.startswith(".")
                and split_suffixes(name)[0] in SUFFIXES
                and os.path.isfile(path)
            ):
                found.append(path)
            else:
                problems.add(folder, "files of other kinds, left out")
    return found


def _files_of_url(url: str, no_text: set[str], problems: Problems) -> list[str]:
    """The text files below a URL, or the one file that it is, in sorted order."""
    found = []
    for path in files_below(url):
        is_hidden = any(name.startswith(".") for name in path.removeprefix(url).split("/"))
        if not is_hidden and split_suffixes(path)[0] in SUFFIXES:
            found.append(path)
        else:
            problems.add(url, "files of other kinds, left out")
    return found


def _raise(error: OSError):
    raise error
