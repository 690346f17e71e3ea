"""Files and folders: read as JSON, replaced whole or not at all, held by one process at a time."""

import contextlib
import ctypes
import errno
import glob
import hashlib
import json
import os
import pathlib
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator

from kbert.errors import DataError

# Of `replacing_together`: the folder of the new files, from the moment they are valid.
_READY = ".ready"
_READING_UMASK = threading.Lock()
# Of OSError: no space, or none for this user.
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
# Far more than a description has, far less than Python can print.
DEEPEST = 50
# What json raises for text that is no JSON, bytes that are no UTF-8, and nesting without end.
JSON_ERRORS = (ValueError, RecursionError)


def read_object(path: str | os.PathLike) -> dict:
    """The JSON object in a file. Raises `DataError`, naming the file, for anything else, and for a
    file that is not there."""
    try:
        values = json.loads(pathlib.Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"{path} must be a JSON file: {error.strerror}.") from error
    except JSON_ERRORS as error:
        raise DataError(f"{path} must be a JSON file: {error}.") from error
    if not isinstance(values, dict):
        raise DataError(f"{path} must hold a JSON object. Received: {type(values).__name__}.")
    if depth_exceeds(values, DEEPEST):
        raise DataError(f"{path} must not nest deeper than {DEEPEST} levels.")
    return values


def write_json(path: str | os.PathLike, value) -> None:
    """Write a value as indented JSON, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(as_json(value, indent=2) + "\n", encoding="utf-8")


def as_json(value, indent: int | None = None) -> str:
    """JSON in which other scripts than Latin stay readable.

    Lone surrogates, which are no UTF-8, become JSON's escapes of them.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """A temporary path whose file takes the place of `path` when the block ends without an error.

    A reader finds the old file or the new one, after a power failure too. A link keeps leading to
    its file. A device or a pipe is written to, not replaced.

    Raises OSError that names `path` where the disk is full, whatever library found it out.
    """
    path = pathlib.Path(path).resolve()
    if path.exists() and not path.is_file():
        yield path
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with _temporary(path.parent, f".{path.name}") as temporary, naming(path):
        yield temporary
        # Some writers give their files to the owner alone.
        os.chmod(temporary, 0o666 & ~_umask())
        _synchronize(temporary)
        os.replace(temporary, path)
        _synchronize(path.parent)


@contextlib.contextmanager
def replacing_folder(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """A new folder that takes the place of `path` when the block ends without an error.

    A reader finds the old folder or the new one, never files of both. What `path` held is gone.
    A folder that must keep its place, a mount point or the current one, is filled instead, as by
    `replacing_together`. Raises as `replacing` does.
    """
    path = pathlib.Path(path).resolve()
    if path.is_mount() or pathlib.Path.cwd().is_relative_to(path):
        with replacing_together(path) as temporary:
            yield temporary
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with _temporary(path.parent, f".{path.name}") as temporary, naming(path):
        temporary.mkdir()
        yield temporary
        _synchronize_all(temporary)
        if path.exists():
            _exchange(temporary, path)
        else:
            os.rename(temporary, path)
        _synchronize(path.parent)


def remove_folder(path: str | os.PathLike) -> None:
    """Remove a folder whose files belong together: a process that is killed meanwhile leaves all of
    them under the folder's name, or none. Raises OSError where it is not there."""
    path = pathlib.Path(path).resolve()
    with _temporary(path.parent, f".{path.name}") as temporary, naming(path):
        os.rename(path, temporary)


@contextlib.contextmanager
def replacing_together(folder: str | os.PathLike) -> Iterator[pathlib.Path]:
    """A new folder whose files take their places in `folder`, all of them or none.

    They do when the block ends without an error. What else `folder` holds stays, and the folder
    itself keeps its place: it may be a mount point, or the current one. A reader that asks
    `current` for each file finds the old ones or the new ones, wherever the writer was killed: the
    new ones are valid from the moment that their folder has its last name, and move after that.
    Raises as `replacing` does.
    """
    folder = pathlib.Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    _move_ready(folder)
    with _temporary(folder, _READY) as temporary, naming(folder):
        temporary.mkdir()
        yield temporary
        _synchronize_all(temporary)
        os.rename(temporary, folder / _READY)
        _synchronize(folder)
    _move_ready(folder)


def current(folder: str | os.PathLike, name: str) -> pathlib.Path:
    """Where a file is that `replacing_together` writes."""
    new = pathlib.Path(folder, _READY, name)
    return new if new.exists() else pathlib.Path(folder, name)


@contextlib.contextmanager
def naming(path: str | os.PathLike) -> Iterator[None]:
    """An error that says that the disk is full becomes an OSError that names `path`.

    `write` itself names no file, and libraries have classes of their own for it.
    """
    try:
        yield
    except Exception as error:
        for number in DISK_FULL:
            if getattr(error, "errno", None) == number or os.strerror(number) in str(error):
                raise OSError(number, os.strerror(number), str(path)) from error
        raise


@contextlib.contextmanager
def locked(path: str | os.PathLike) -> Iterator[None]:
    """Within the block no other process of this machine that asks for `path` gets it.

    Raises `DataError` at once if another has it. The lock itself lies in the folder for temporary
    files, so that nothing is left beside `path`; it ends with its process, however that ends.
    """
    import filelock  # 30 ms, which `kbert --help` has not.

    name = hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()[:32]
    folder = pathlib.Path(tempfile.gettempdir(), f"kbert-locks-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    try:
        with filelock.FileLock(folder / name, blocking=False):
            yield
    except filelock.Timeout as error:
        raise DataError(
            f"Another process is writing {path}. Wait until it ends, or choose another output."
        ) from error


def is_there(path: str | os.PathLike) -> bool:
    """Whether there is a file or a folder.

    Raises OSError where that cannot be seen: without the right to look into its folder, where that
    is a file, or for links in a circle. `os.path.exists` says no to all of them.
    """
    try:
        os.stat(path)
    except FileNotFoundError:
        return False
    return True


def check_writable(path: str | os.PathLike, inputs: Iterable[str | os.PathLike] = ()) -> None:
    """Raise DataError if no file can be written there; to be known before long work.

    Nor may it be one of the files that are read (`inputs`), under whatever name.
    """
    path = pathlib.Path(path)
    for name in inputs:
        if path.is_file() and os.path.exists(name) and os.path.samefile(path, name):
            raise DataError(f"{path} would be overwritten, but it is the file to read, {name}.")
    if path.is_dir():
        raise DataError(f"{path} is a folder; expected the name of a file to write.")
    if not path.parent.is_dir():
        raise DataError(f"There is no folder {path.parent} to write {path.name} into.")
    if not os.access(path.parent, os.W_OK):
        raise DataError(f"The folder {path.parent} cannot be written to.")


def check_folder_writable(path: str | os.PathLike) -> None:
    """Raise DataError if no folder can be made or written there; to be known before long work."""
    path = pathlib.Path(path)
    there = next(place for place in (path, *path.resolve().parents) if place.exists())
    if not there.is_dir():
        raise DataError(f"{there} is a file; expected a folder to write {path.name} into.")
    if not os.access(there, os.W_OK):
        raise DataError(f"The folder {there} cannot be written to.")


def check_folder_new(path: str | os.PathLike) -> None:
    """Raise DataError for a folder that holds something, too."""
    path = pathlib.Path(path)
    if path.is_dir() and any(path.iterdir()):
        raise DataError(f"{path} is not empty: it must be a new or an empty folder.")
    check_folder_writable(path)


def depth_exceeds(value, limit: int) -> bool:
    """Whether lists and objects of JSON lie in one another more than so often."""
    level = [value]
    for _ in range(limit):
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return False
    return any(isinstance(item, dict | list) for item in level)


@contextlib.contextmanager
def _temporary(folder: pathlib.Path, stem: str) -> Iterator[pathlib.Path]:
    """A path in a folder, for a file or a folder that is gone when the block ends.

    It is beside what it shall replace: only within a file system a name can be changed at once.
    What killed processes left under this stem is removed.
    """
    for left in folder.glob(f"{glob.escape(stem)}.*.tmp"):
        process = left.name.split(".")[-2]
        if process.isdecimal() and not _is_running(int(process)):
            _remove(left)
    temporary = folder / f"{stem}.{os.getpid()}.tmp"
    _remove(temporary)
    try:
        yield temporary
    finally:
        _remove(temporary)


def _remove(path: pathlib.Path) -> None:
    """A file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # It is another user's.
        return True
    return True


def _move_ready(folder: pathlib.Path) -> None:
    """Move the files that are valid already to their places, if there are any."""
    ready = folder / _READY
    if ready.is_dir():
        for name in os.listdir(ready):
            os.replace(ready / name, folder / name)
        ready.rmdir()
        _synchronize(folder)


def _synchronize_all(folder: pathlib.Path) -> None:
    for path in [*folder.rglob("*"), folder]:
        _synchronize(path)


def _synchronize(path: pathlib.Path) -> None:
    """What a file or a folder holds is on the disk when this returns."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _exchange(one: pathlib.Path, other: pathlib.Path) -> None:
    """Give two folders each other's name, in one step where the system can.

    `os` has no name for it: Linux's renameat2 with RENAME_EXCHANGE (linux/fcntl.h, linux/fs.h).
    Elsewhere there is a moment in which `other` does not exist.
    """
    if sys.platform == "linux":
        here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
        names = os.fsencode(one), os.fsencode(other)
        rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
        if rename is not None and rename(here, names[0], here, names[1], exchange) == 0:
            return
        if rename is not None and ctypes.get_errno() not in (errno.EINVAL, errno.ENOSYS):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(other))
    aside = one.with_name(f"{one.name}.old")
    os.rename(other, aside)
    os.rename(one, other)
    os.rename(aside, one)


def _umask() -> int:
    """The rights that new files do not get; it can be read only by setting it, for all threads."""
    with _READING_UMASK:
        mask = os.umask(0o077)
        os.umask(mask)
    return mask
