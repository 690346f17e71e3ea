"""Which devices train, in which precision: the only file that knows MirroredStrategy."""

import keras
import tensorflow as tf

from kbert.errors import DataError

PRECISIONS = {
    "float32": "float32",
    "bfloat16": "mixed_bfloat16",
    "float16": "mixed_float16",
}


def strategy() -> tf.distribute.Strategy:
    """All visible GPUs through MirroredStrategy; one GPU, or the CPU, without it.

    Several logical CPU devices count as devices too, so that many replicas can be tried anywhere.
    """
    for kind in ("GPU", "CPU"):
        devices = tf.config.list_logical_devices(kind)
        if len(devices) > 1:
            return tf.distribute.MirroredStrategy([device.name for device in devices])
        if devices:
            return tf.distribute.get_strategy()
    raise RuntimeError("TensorFlow sees no device.")


def set_precision(precision: str) -> None:
    """Set Keras's policy: weights in float32, computation in `precision`."""
    if precision not in PRECISIONS:
        raise DataError(f"The precision must be one of {list(PRECISIONS)}. Received: {precision}.")
    keras.mixed_precision.set_dtype_policy(PRECISIONS[precision])
