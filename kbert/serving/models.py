"""The models of a server: loaded, warmed up, replaced by a newer version while they answer."""

import gc
import logging
import pathlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from kbert.checkpoints.hubs import is_hub_name, title
from kbert.corpus.places import state_of
from kbert.errors import DataError
from kbert.serving.versions import newest_version

if TYPE_CHECKING:
    from kbert.serving.served import Served

_logger = logging.getLogger("kbert.serving")


class UnknownModel(Exception):
    """No model of that name or version is served. The message says which are."""


class Models:
    """Models by name, each in its newest version.

    Args:
        folders: name -> what `kbert export` wrote.
        load: reads a folder; by default what was exported.

    Raises `DataError` for a folder that cannot be served.
    """

    def __init__(
        self,
        folders: Mapping[str, str | pathlib.Path],
        load: "Callable[[pathlib.Path], Served] | None" = None,
    ):
        self._load = load or _load_export
        self._folders = {name: pathlib.Path(folder) for name, folder in folders.items()}
        self._served = {name: self._loaded(folder) for name, folder in self._folders.items()}
        self._failed: dict[str, tuple] = {}
        self._stopped = threading.Event()

    @property
    def names(self) -> list[str]:
        return list(self._served)

    def get(self, name: str, version: int | None = None) -> "Served":
        """Raises `UnknownModel` for a name or a version that is not served."""
        predictor = self._served.get(name)
        if predictor is not None and version in (None, predictor.version):
            return predictor
        wanted = name if version is None else f"{name}, version {version}"
        served = ", ".join(f"{n} (version {p.version})" for n, p in self._served.items())
        raise UnknownModel(f"There is no model {wanted}. Served: {served}.")

    def _loaded(self, folder: pathlib.Path) -> "Served":
        served = self._load(folder)
        # TensorFlow prepares a graph at its first call, and kernels for a shape at its first: time
        # that no client should wait for.
        stops = "." * served.answerer.task.sequence_length
        long = {
            name: [stops] * 2 if name == "choices" else value + stops
            for name, value in served.example_instance.items()
        }
        served.predict([served.example_instance, long])
        return served

    def watch(self, seconds: float) -> None:
        """From now on look for newer versions every so many seconds, in a thread."""
        threading.Thread(target=self._watch, args=(seconds,), name="versions", daemon=True).start()

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()

    def _watch(self, seconds: float) -> None:
        while not self._stopped.wait(seconds):
            self.refresh()

    def refresh(self) -> None:
        """Load what is newer than what is served.

        A request that holds the old version is answered by it. A version that cannot be loaded is
        named in the log, once, and the old one stays.
        """
        for name, folder in self._folders.items():
            try:
                newest = newest_version(folder)
                if not newest.name.isdecimal() or int(newest.name) <= self._served[name].version:
                    continue
                state = _state_of(newest)
            except (DataError, OSError):  # Gone, or being written: the model in memory stays.
                continue
            if self._failed.get(name) == state:  # One that is being copied changes.
                continue
            try:
                began = time.monotonic()
                self._served[name] = self._loaded(newest)
                seconds = time.monotonic() - began
                _logger.info("%s: version %s, loaded in %.1f s", name, newest.name, seconds)
            except Exception as error:  # Whatever a broken export does, the old one answers.
                self._failed[name] = state
                _logger.error("%s: version %s cannot be served: %s", name, newest.name, error)
            # A SavedModel is full of cycles: without this its memory comes back much later.
            gc.collect()


def served_names(folders: Iterable[str | pathlib.Path]) -> dict[str, pathlib.Path]:
    """Names for folders, as paths of the server have them: NAME of NAME, of NAME/VERSION and of
    NAME/checkpoint.

    Raises `DataError` for two folders of one name.
    """
    named: dict[str, pathlib.Path] = {}
    for folder in map(pathlib.Path, folders):
        if is_hub_name(folder):
            path = pathlib.Path(title(folder))
        else:
            path = folder.resolve()
        inside = path.name.isdecimal() or path.name == "checkpoint"
        name = (path.parent.name if inside else "") or path.name
        if ":" in name:  # Behind it stands what is asked of a model.
            raise DataError(f"{folder} needs a name without ':'. --name gives it another.")
        if name in named:
            raise DataError(f"Two models would be called {name!r}: {named[name]} and {folder}.")
        named[name] = folder
    return named


def _state_of(folder: pathlib.Path) -> tuple:
    """What differs where a folder's files have changed."""
    return tuple(state_of(str(file)) for file in sorted(folder.rglob("*")) if file.is_file())


def _load_export(folder: pathlib.Path) -> "Served":
    from kbert.serving.predictor import Predictor  # TensorFlow takes seconds to import.

    return Predictor(folder)
