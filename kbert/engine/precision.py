"""In which precision a model computes."""

import keras

from kbert.errors import DataError

PRECISIONS = {
    "float32": "float32",
    "bfloat16": "mixed_bfloat16",
    "float16": "mixed_float16",
}


def set_precision(precision: str) -> None:
    """Set Keras's policy: weights in float32, computation in `precision`."""
    if precision not in PRECISIONS:
        raise DataError(f"The precision must be one of {list(PRECISIONS)}. Received: {precision}.")
    keras.mixed_precision.set_dtype_policy(PRECISIONS[precision])
