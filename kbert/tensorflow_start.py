"""TensorFlow's first import, with what can be said to it only before."""

import importlib
import importlib.util
import os
import sys

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


def set_flags() -> None:
    """What TensorFlow and XLA look up in the environment, unless it is set there.

    `import kbert` does it. Nothing happens where TensorFlow is there already: it would not look.
    """
    if "tensorflow" not in sys.modules:
        os.environ.setdefault("TF_XLA_FLAGS", CLUSTER_FLAGS)
        os.environ.setdefault("XLA_FLAGS", WIDE_VECTORS)


def import_tensorflow_quietly() -> None:
    """TensorFlow notes from C++ how it was built, before any setting can stop it.

    Does nothing where TensorFlow is there already, or is not at all, or Keras runs on another
    backend.
    """
    if "tensorflow" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend != "tensorflow" or importlib.util.find_spec("tensorflow") is None:
        return
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        importlib.import_module("tensorflow")
    finally:
        os.dup2(kept, 2)
        os.close(kept)
