"""Files by their path, or by a URL (gs://, s3://, hdfs://) that Apache Beam knows how to read.

Beam is imported for URLs only; which of them it knows depends on the extras it was installed with.
"""

import logging
import os
import pathlib
import shutil
import uuid
from typing import BinaryIO

from kbert.errors import DataError


def is_url(path: str | os.PathLike) -> bool:
    """Whether it names a file that is not in this machine's file system."""
    return "://" in os.fspath(path)


def open_binary(path: str) -> BinaryIO:
    """The bytes of a file, as they are stored."""
    if not is_url(path):
        return open(path, "rb")
    # Not decompressed: which bytes are taken from a damaged file is for the reader to say.
    return _file_systems().open(path, compression_type=_uncompressed())


def exists(path: str) -> bool:
    """Whether there is a file. Opening one that is missing raises a cloud's own errors."""
    return _file_systems().exists(path) if is_url(path) else os.path.exists(path)


def size_of(path: str) -> int:
    """Bytes of a file, as they are stored."""
    return _metadata(path).size_in_bytes if is_url(path) else os.path.getsize(path)


def state_of(path: str) -> tuple[str, int, int]:
    """What changes with a file: its name, the same in every locale, its size and its time."""
    if is_url(path):
        found = _metadata(path)
        return path, found.size_in_bytes, int(found.last_updated_in_seconds * 1e9)
    name = os.fsencode(path).decode("utf-8", "surrogateescape")
    return name, os.stat(path).st_size, os.stat(path).st_mtime_ns


def files_below(url: str) -> list[str]:
    """The URLs of a file, or of all files in a folder and its folders, in sorted order."""
    patterns = [url, url.rstrip("/") + "/**"]
    found = _tried(url, lambda: _file_systems().match(patterns))
    return sorted({each.path for result in found for each in result.metadata_list})


def write_whole(path: str, data: bytes) -> None:
    """Write a file of which a reader sees nothing or all, whoever else writes it, anywhere.

    Two machines may have processes of the same number, so the temporary name is drawn.
    """
    temporary = f"{path}.{uuid.uuid4().hex}.tmp"
    if not is_url(path):
        pathlib.Path(temporary).write_bytes(data)
        os.replace(temporary, path)
        return
    with _file_systems().create(temporary, compression_type=_uncompressed()) as file:
        file.write(data)
    _file_systems().rename([temporary], [path])


def remove_all(folder: str) -> None:
    """Remove a folder, which may be a URL."""
    if is_url(folder):
        _file_systems().delete([folder + "/"])
    else:
        shutil.rmtree(folder)


def check_beam() -> None:
    """Raises `DataError` where Apache Beam is not installed."""
    # On import it complains of packages for Google's cloud that are not there.
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.ERROR)
    try:
        import apache_beam  # noqa: F401
        import apache_beam.io.filesystems  # noqa: F401
    except ImportError as error:
        raise DataError(
            "Runners and URLs need Apache Beam, which is not installed: pip install 'kbert[beam]'."
        ) from error
    finally:
        logging.getLogger().setLevel(level)


def _metadata(url):
    found = _tried(url, lambda: _file_systems().match([url]))[0].metadata_list
    if not found:
        raise DataError(f"There is no file {url}.")
    return found[0]


def _tried(url, function):
    """Its result. Raises DataError for a URL that cannot be asked for."""
    from apache_beam.io.filesystem import BeamIOError

    try:
        return function()
    except (ValueError, BeamIOError, OSError) as error:
        raise DataError(f"{url} cannot be read: {error}") from error


def _file_systems():
    check_beam()
    from apache_beam.io.filesystems import FileSystems

    return FileSystems


def _uncompressed():
    from apache_beam.io.filesystem import CompressionTypes

    return CompressionTypes.UNCOMPRESSED
