"""TensorFlow's first import, with what can be said to it only before."""

import contextlib
import importlib
import importlib.util
import os
import re
import sys
import tempfile
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


def import_tensorflow_alone() -> None:
    """TensorFlow for what was exported: quietly, and without Keras, a third of the import.

    Raises `DataError` where it is not installed.
    """
    _check_installed("tensorflow", "A SavedModel needs")
    if "tensorflow" not in sys.modules:
        with _without_keras():
            import_tensorflow_quietly()
            importlib.import_module("tensorflow")


def _check_installed(package: str, who: str, otherwise: str = "") -> None:
    if importlib.util.find_spec(package) is None:
        raise DataError(
            f"{who} {package}, which is not installed: pip install {package}{otherwise}."
        )


@contextlib.contextmanager
def _without_keras() -> Iterator[None]:
    """TensorFlow imports Keras for its optimizers in SavedModels, of which an export has none, and
    goes on where there is no Keras. `import keras` and `tf.keras` find it after the block."""
    if "keras" in sys.modules:
        yield
        return
    sys.modules["keras"] = None
    try:
        yield
    finally:
        del sys.modules["keras"]


def import_tensorflow_quietly() -> None:
    """TensorFlow without the notes that C++ writes while it is imported.

    C++ writes to descriptor 2 itself, so that no setting of Python's stops it: for the import the
    descriptor leads to a file, of which then all but the notes is written to where it led. Does
    nothing where TensorFlow is there already or not at all, where Keras has another backend, where
    the user has asked for TensorFlow's log, and where nothing is open under 2.
    """
    if "tensorflow" in sys.modules or os.environ.get("TF_CPP_MIN_LOG_LEVEL") != _LOG_LEVEL:
        return
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend != "tensorflow" or importlib.util.find_spec("tensorflow") is None:
        return
    try:
        shown = os.dup(2)
    except OSError:
        return
    sys.stderr.flush()
    with tempfile.TemporaryFile() as written:
        os.dup2(written.fileno(), 2)
        try:
            importlib.import_module("tensorflow")
        finally:
            sys.stderr.flush()
            os.dup2(shown, 2)
            os.close(shown)
            written.seek(0)
            lines = written.read().decode(errors="replace").splitlines()
            for line in lines:
                if not _NOTES.fullmatch(line):
                    print(line, file=sys.stderr)
