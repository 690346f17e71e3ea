"""Which devices train: the only file that knows MirroredStrategy and its form of many machines."""

import contextlib
import functools
import os
from collections.abc import Iterator

import tensorflow as tf

from kbert.engine.cluster import cluster, meet
from kbert.engine.freed_memory import keep_freed_memory
from kbert.errors import DataError
from kbert.tensorflow_start import CPU_CLUSTERS


@functools.cache
def strategy() -> tf.distribute.Strategy:
    """All visible GPUs through MirroredStrategy; one GPU, or the CPU, without it.

    Of a cluster's worker it is MultiWorkerMirroredStrategy, once all workers have met.
    Several logical CPU devices count as devices too, so that many replicas can be tried anywhere.
    Always the same one: a second MirroredStrategy would number its all-reduces from the beginning
    again, and TensorFlow take them for those of the first.

    Raises `DataError` where workers do not meet, or TensorFlow has computed before they could.
    """
    if cluster().count > 1:
        return _of_all_workers()
    for kind in ("GPU", "CPU"):
        devices = tf.config.list_logical_devices(kind)
        if len(devices) > 1:
            if kind == "CPU":
                keep_freed_memory()
            return tf.distribute.MirroredStrategy([device.name for device in devices])
        if devices:
            return tf.distribute.get_strategy()
    raise RuntimeError("TensorFlow sees no device.")


def _of_all_workers() -> tf.distribute.Strategy:
    meet(cluster())
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise DataError(
            "The workers of a cluster must meet before TensorFlow computes anything. Read the "
            f"model that the run starts from after kbert.engine.devices.strategy(). ({error})"
        ) from error


def compile_whole_step() -> bool:
    """Whether XLA shall compile a whole pass of the train step; if not, `xla_clusters` does.

    On a CPU oneDNN multiplies matrices faster than XLA, and XLA does all else faster. So there the
    products stay with oneDNN and XLA compiles the clusters between them (docs/benchmarks.md).
    TensorFlow allows clusters on a CPU only where TF_XLA_FLAGS says so before its import; `import
    kbert` sets it (kbert/tensorflow_start.py). In a function that runs on several logical CPU
    devices they are an error of TensorFlow's: "Multiple CPU devices".
    """
    gpus, cpus = (tf.config.list_logical_devices(kind) for kind in ("GPU", "CPU"))
    clusters_allowed = CPU_CLUSTERS in os.environ.get("TF_XLA_FLAGS", "")
    return bool(gpus) or len(cpus) > 1 or not clusters_allowed


@contextlib.contextmanager
def xla_clusters() -> Iterator[None]:
    """What runs within has its clusters compiled by XLA, if it is not compiled as a whole.

    Not behind it: a cluster is compiled again for every shape, which takes seconds, and the batches
    of fine-tuning and prediction have many.
    """
    if compile_whole_step():
        yield
        return
    optimizer = tf.config.optimizer
    jit, options = optimizer.get_jit(), optimizer.get_experimental_options()
    # Else oneDNN adds a bias to its product, which takes longer than in the cluster that follows.
    optimizer.set_experimental_options({"remapping": False})
    optimizer.set_jit("autoclustering")
    try:
        yield
    finally:
        optimizer.set_experimental_options({"remapping": options.get("remapping", True)})
        optimizer.set_jit(jit)
