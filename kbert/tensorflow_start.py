"""TensorFlow's first import, with what can be said to it only before."""

import contextlib
import importlib
import importlib.util
import os
import pathlib
import re
import sys
import tempfile
import types
from collections.abc import Iterator

from kbert.errors import DataError

# What XLA may compile when a command asks for clusters (kbert.engine.devices.compile_whole_step);
# until then the flags change nothing. Capitals are TensorFlow's groups: point-wise operations and
# reductions. Not Transpose, Pack and Concat, which XLA copies value by value on a CPU.
_CLUSTERED = (
    "PW,RED,PWRED,BiasAdd,BiasAddGrad,BroadcastArgs,BroadcastGradientArgs,BroadcastTo,Const,"
    "ExpandDims,Fill,OneHot,OnesLike,Range,Rank,Reshape,Shape,ShapeN,Size,Slice,Squeeze,"
    "StridedSlice,StridedSliceGrad,Tile,ZerosLike"
)
CPU_CLUSTERS = "--tf_xla_cpu_global_jit"
CLUSTER_FLAGS = f"{CPU_CLUSTERS} --tf_xla_min_cluster_size=2 --tf_xla_ops_to_cluster={_CLUSTERED}"
# LLVM by itself takes 256 bits of a register that has 512, lest the clock go down.
WIDE_VECTORS = "--xla_cpu_prefer_vector_width=512"
# oneDNN keeps the products that it has made ready, and takes two for the same whose matrices lie
# otherwise where a side has the length 1, as in the gradient of the one query that the last block
# may have. Made ready by two threads at once, the one then writes beyond its scratch memory: the
# heap is broken. TensorFlow keeps them by thread itself, and correctly.
_NO_SHARED_PRODUCTS = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "0")
# 3: of C++ only FATAL. Its ERROR lines are notes ("failed call to cuInit" on a machine without a
# GPU, "oneDNN supports DT_INT64 only on ..."); what stops a program comes as a Python exception.
_LOG_LEVEL = "3"
# C++ lines of the import, where the level does not hold yet: how TensorFlow was built, what it
# found. Everything else that is written meanwhile is shown.
_NOTES = re.compile(
    r"[IWE]\d{4} .*|WARNING: All log messages before absl::InitializeLog.*|"
    r"To enable the following instructions: .*"
)
_BACKENDS = ("tensorflow", "jax")
# What the modules of an export import of TensorFlow.
_SESSION = (
    "tensorflow.core.protobuf.saved_model_pb2",
    "tensorflow.python.client.session",
    "tensorflow.python.framework.importer",
)


def set_flags() -> None:
    """What TensorFlow, XLA and oneDNN look up in the environment, unless it is set there.

    `import kbert` does it. TensorFlow and XLA look when TensorFlow is imported: where it is there
    already, nothing is said to them. oneDNN looks before its first product.
    """
    os.environ.setdefault(*_NO_SHARED_PRODUCTS)
    if "tensorflow" not in sys.modules:
        os.environ.setdefault("TF_XLA_FLAGS", CLUSTER_FLAGS)
        os.environ.setdefault("XLA_FLAGS", WIDE_VECTORS)
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", _LOG_LEVEL)


def set_threads(count: int) -> None:
    """How many threads TensorFlow may take, which it looks up before its first operation."""
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ[name] = str(count)


def start_backend() -> None:
    """Import what Keras computes with: TensorFlow without its notes, or JAX.

    Raises `DataError` for a KERAS_BACKEND that kbert does not know, or that is not installed.
    """
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend not in _BACKENDS:
        raise DataError(f"KERAS_BACKEND must be {' or '.join(_BACKENDS)}. Received: {backend}.")
    _check_installed(backend, "Keras is to compute with", ", or set KERAS_BACKEND to another")
    if backend == "tensorflow":
        import_tensorflow_quietly()


def import_session() -> None:
    """Of TensorFlow what runs the graph of an export: messages, graphs, sessions and the C++ below
    them, a fifth of the import.

    They are under `tensorflow.python` and `tensorflow.core`, where TensorFlow's own programs take
    them from. The rest is imported when something of it is asked for. Plug-ins for other devices
    come with the rest: where there are some, all is imported.

    Raises `DataError` where TensorFlow is not installed.
    """
    _check_installed("tensorflow", "A SavedModel needs")
    if all(name in sys.modules for name in _SESSION):
        return
    takes_all = _is_whole() or _has_plugins()
    with _without_notes(), contextlib.nullcontext() if takes_all else _api_put_off():
        for name in _SESSION:
            importlib.import_module(name)


def _check_installed(package: str, who: str, otherwise: str = "") -> None:
    if importlib.util.find_spec(package) is None:
        raise DataError(
            f"{who} {package}, which is not installed: pip install {package}{otherwise}."
        )


def _is_whole() -> bool:
    return not isinstance(sys.modules.get("tensorflow"), _Package | None)


def _has_plugins() -> bool:
    folders = (pathlib.Path(folder, "tensorflow-plugins") for folder in sys.path)
    return any(folder.exists() for folder in folders)


class _Package(types.ModuleType):
    """TensorFlow's package, whose own file is run when something that it lacks is asked of it: that
    file imports thousands of modules, Keras among them."""

    def __getattr__(self, name):
        with _without_notes():
            self.__class__ = types.ModuleType
            self.__path__ = self.__spec__.submodule_search_locations
            self.__spec__.loader.exec_module(self)
        return getattr(self, name)


@contextlib.contextmanager
def _api_put_off() -> Iterator[None]:
    """TensorFlow's modules are imported alone in the block. Behind it `import tensorflow` gives a
    package that imports all when it is used, or when another module of it is imported."""
    package = importlib.util.module_from_spec(importlib.util.find_spec("tensorflow"))
    package.__class__ = _Package
    sys.modules["tensorflow"] = package
    try:
        # What its own file does first: modules look which version they are for.
        importlib.import_module("tensorflow.python.tf2").enable()
        yield
    finally:
        del package.__path__


def import_tensorflow_quietly() -> None:
    """TensorFlow without the notes that C++ writes while it is imported.

    Does nothing where Keras has another backend, where the user has asked for TensorFlow's log, and
    where there is no TensorFlow.
    """
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend != "tensorflow" or os.environ.get("TF_CPP_MIN_LOG_LEVEL") != _LOG_LEVEL:
        return
    if importlib.util.find_spec("tensorflow") is not None:
        with _without_notes():
            importlib.import_module("tensorflow")


@contextlib.contextmanager
def _without_notes() -> Iterator[None]:
    """Of what is written to standard error in the block, all but TensorFlow's notes.

    C++ writes to descriptor 2 itself, so that no setting of Python's stops it: in the block the
    descriptor leads to a file, of which then all but the notes is written to where it led. Does
    nothing where TensorFlow is there already, where the user has asked for its log, and where
    nothing is open under 2.
    """
    if _is_whole() or os.environ.get("TF_CPP_MIN_LOG_LEVEL") != _LOG_LEVEL:
        yield
        return
    try:
        shown = os.dup(2)
    except OSError:
        yield
        return
    sys.stderr.flush()
    with tempfile.TemporaryFile() as written:
        os.dup2(written.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(shown, 2)
            os.close(shown)
            written.seek(0)
            lines = written.read().decode(errors="replace").splitlines()
            for line in lines:
                if not _NOTES.fullmatch(line):
                    print(line, file=sys.stderr)
