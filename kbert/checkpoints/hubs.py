"""Models by name from a hub, fetched once into the cache that the hub's own library keeps.

    hf:OWNER/NAME[@REVISION]                     through huggingface_hub
    keras:PRESET                                 a preset of keras-hub's BertBackbone, from Kaggle
    kaggle:OWNER/MODEL/FRAMEWORK/VARIATION[/N]   through kagglehub

The libraries' own settings hold: HF_TOKEN, HF_ENDPOINT, HF_HOME, HF_HUB_OFFLINE, KAGGLE_API_TOKEN,
KAGGLEHUB_CACHE.
"""

import contextlib
import fnmatch
import functools
import logging
import os
import pathlib
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from kbert.errors import DataError
from kbert.files import read_object, write_json

# What a folder that kbert reads may hold beside weights: no tensors of other frameworks, no code.
_DESCRIPTIONS = (
    "config.json",
    "vocab.txt",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "modules.json",
    "sentence_*_config.json",
    "config_sentence_transformers.json",
    "bert_config.json",
    "task.json",
    "pooling.json",
    "pooling.safetensors",
    "vocabulary.txt",
)
# The kinds of files of weights, the best first: of a folder only the first kind that it has.
_WEIGHTS = (
    ("model.safetensors",),
    ("model.safetensors.index.json", "model-*-of-*.safetensors"),
    ("pytorch_model.bin",),
    ("model.weights.h5",),
    ("*.ckpt*.index", "*.ckpt*.data-*"),
)
# Folders in a repository: none, a module of sentence-transformers, what keras-hub's tokenizer has.
_FOLDERS = re.compile(r"|\d+_\w+|assets/tokenizer")
_PRESET = ("config.json", "tokenizer.json", "assets/tokenizer/vocabulary.txt", "model.weights.h5")
SOURCE = "source.json"


class Fetched(NamedTuple):
    """A model on this machine. `name` says its revision; `licence` is None where the hub does not
    say it."""

    folder: pathlib.Path
    name: str
    licence: str | None = None


def is_hub_name(source: str | os.PathLike) -> bool:
    """Whether it names a model of a hub, not a folder."""
    return os.fspath(source).partition(":")[0] in _FETCHERS and ":" in os.fspath(source)


def folder_of(source: str | os.PathLike) -> pathlib.Path:
    """The folder of a model: itself, or for a hub's name the one into which it was fetched.

    Name, size and licence of what is fetched go to stderr. Raises `DataError` for what the hub does
    not have or give, and where it cannot be reached.
    """
    return _fetched(os.fspath(source)).folder if is_hub_name(source) else pathlib.Path(source)


def pinned(source: str | os.PathLike) -> str:
    """The source with the revision that `folder_of` read; a folder stays as it is."""
    return _fetched(os.fspath(source)).name if is_hub_name(source) else str(source)


def title(source: str | os.PathLike) -> str:
    """A model's own name: of hf:owner/name@main it is name."""
    return re.split("[/:]", os.fspath(source).partition("@")[0])[-1]


def hub_repository(source: str) -> str | None:
    """OWNER/NAME of hf:OWNER/NAME@REVISION; None of anything else."""
    return source[3:].partition("@")[0] if source.startswith("hf:") else None


def push(folder: pathlib.Path, name: str) -> str:
    """Put a folder's files into the repository `name` of Hugging Face's hub, made if it is not
    there. Returns its address.

    Raises `DataError` where the hub refuses them.
    """
    from huggingface_hub import HfApi

    with _in_a_sentence(name, "pushed"):
        api = HfApi(os.environ.get("HF_ENDPOINT") or None)
        address = api.create_repo(name, exist_ok=True)
        api.upload_folder(repo_id=address.repo_id, folder_path=folder)
        return str(address)


def write_source(folder: str | os.PathLike, source: str | os.PathLike) -> None:
    """Write into a checkpoint what `read_source` says of the one that it was made of."""
    if found := read_source(source):
        write_json(pathlib.Path(folder, SOURCE), found)


def read_source(source: str | os.PathLike) -> dict:
    """Which model of a hub a checkpoint is or began with, and its licence: {"from", "licence"}.

    `source` is a folder or a hub's name. Empty for a checkpoint of another origin.
    """
    if is_hub_name(source):
        fetched = _fetched(os.fspath(source))
        return {"from": fetched.name, "licence": fetched.licence}
    file = pathlib.Path(source, SOURCE)
    return read_object(file) if file.is_file() else {}


def needed_files(names: Iterable[str]) -> list[str]:
    """Those files of a repository that kbert reads, of weights one kind in each folder."""
    folders: dict[str, list[str]] = {}
    for name in names:
        folder, _, file = name.rpartition("/")
        if _FOLDERS.fullmatch(folder):
            folders.setdefault(folder, []).append(file)
    found = []
    for folder, files in folders.items():
        kinds = ([file for file in files if _matches(file, kind)] for kind in _WEIGHTS)
        chosen = [file for file in files if _matches(file, _DESCRIPTIONS)]
        chosen += next(filter(None, kinds), [])
        found += [f"{folder}/{file}".removeprefix("/") for file in chosen]
    return found


def _matches(file: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(file, pattern) for pattern in patterns)


@functools.cache
def _fetched(source: str) -> Fetched:
    """Once a process: what is read in several parts is of one revision."""
    kind, _, name = source.partition(":")
    with _in_a_sentence(source):
        return _FETCHERS[kind](name)


def _from_huggingface(name: str) -> Fetched:
    from huggingface_hub import HfApi, errors, snapshot_download

    repository, _, revision = name.partition("@")
    # huggingface_hub reads the variable once, and other libraries may have imported it before.
    endpoint, revision = os.environ.get("HF_ENDPOINT") or None, revision or None
    try:
        info = HfApi(endpoint).model_info(repository, revision=revision, files_metadata=True)
    except (errors.HTTPError, errors.OfflineModeIsEnabled) as error:
        if isinstance(error, errors.HfHubHTTPError):
            raise
        # Not to be reached, or not to be asked.
        folder = pathlib.Path(
            snapshot_download(
                repository, revision=revision, allow_patterns=[], local_files_only=True
            )
        )
        return _told(Fetched(folder, f"hf:{repository}@{folder.name}"), "as the cache has it")
    licence = (info.card_data or {}).get("license")
    sizes = {file.rfilename: file.size or 0 for file in info.siblings}
    files = needed_files(sizes)
    if not files:
        raise DataError(f"hf:{info.id} must hold a BERT. It has no file that kbert reads.")
    named = Fetched(pathlib.Path(), f"hf:{info.id}@{info.sha}", licence)
    size = _size(sum(sizes[file] for file in files))
    _told(named, f"{size}, licence: {licence or 'none stated'}")
    # By the name that was asked for, under which it is found again offline.
    folder = snapshot_download(
        repository, revision=revision, allow_patterns=files, endpoint=endpoint
    )
    return named._replace(folder=pathlib.Path(folder))


def _from_keras_hub(name: str) -> Fetched:
    from keras_hub.models import BertBackbone  # It takes seconds to import.

    presets = BertBackbone.presets
    if name not in presets:
        raise DataError(f"keras:{name} must be one of keras-hub's {', '.join(sorted(presets))}.")
    return _from_kaggle(presets[name]["kaggle_handle"].removeprefix("kaggle://"))


def _from_kaggle(handle: str) -> Fetched:
    import kagglehub

    # It would write to stdout, which is for answers.
    logging.getLogger("kagglehub").setLevel(logging.WARNING)
    parts = handle.split("/")
    if len(parts) > 2 and parts[2].lower() == "keras":
        files = [kagglehub.model_download(handle, file) for file in _PRESET]
        folder = pathlib.Path(files[0]).parent
    else:
        folder = pathlib.Path(kagglehub.model_download(handle))
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    name = "/".join([*parts[:4], folder.name])
    page = f"licence: https://www.kaggle.com/models/{'/'.join(parts[:2])}"
    return _told(Fetched(folder, f"kaggle:{name}"), f"{_size(size)}, {page}")


_FETCHERS: dict[str, Callable[[str], Fetched]] = {
    "hf": _from_huggingface,
    "keras": _from_keras_hub,
    "kaggle": _from_kaggle,
}


def _told(fetched: Fetched, what: str) -> Fetched:
    print(f"{fetched.name}: {what}", file=sys.stderr)
    return fetched


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


@contextlib.contextmanager
def _in_a_sentence(source: str, done: str = "fetched") -> Iterator[None]:
    """What the libraries raise becomes a `DataError` that says what to do."""
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(_sentence(source, error, done)) from error
    except Exception as error:
        # httpx's and kagglehub's own have no base but Exception.
        if type(error).__module__.partition(".")[0] not in _LIBRARIES:
            raise
        raise DataError(_sentence(source, error, done)) from error


_LIBRARIES = ("huggingface_hub", "httpx", "httpx2", "httpcore", "kagglehub", "requests")
_KINDS = {
    "GatedRepoError": "asks for consent: accept its terms on its page, and set HF_TOKEN",
    "RevisionNotFoundError": "is there, but has no such revision",
    "LocalEntryNotFoundError": "is not in the cache, and the hub is not reached",
    "HFValidationError": "must be OWNER/NAME, for reading hf:OWNER/NAME or hf:OWNER/NAME@REVISION",
}
_STATUS = {
    401: "needs a token (HF_TOKEN, KAGGLE_API_TOKEN), or is not there",
    403: "is not for the token that was sent (HF_TOKEN, KAGGLE_API_TOKEN)",
    404: "is not there",
    429: "was asked for too often (429): wait some minutes, or set HF_TOKEN",
}


def _sentence(source: str, error: Exception, done: str) -> str:
    for kind in type(error).__mro__:
        if kind.__name__ in _KINDS:
            return f"{source} {_KINDS[kind.__name__]}."
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in _STATUS:
        return f"{source} {_STATUS[status]}."
    first = (str(error) or type(error).__name__).strip().splitlines()[0]
    return f"{source} could not be {done}: {first}"
