"""In which precision a model computes."""

import contextlib
from collections.abc import Iterator

PRECISIONS = {
    "float32": "float32",
    "bfloat16": "mixed_bfloat16",
    "float16": "mixed_float16",
}


def set_precision(precision: str) -> None:
    """Set Keras's policy: weights in float32, computation in `precision`, one of `PRECISIONS`."""
    import keras  # Settings need the names of precisions, and no Keras.

    keras.mixed_precision.set_dtype_policy(PRECISIONS[precision])


@contextlib.contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Within the block Keras builds models with this policy, after it with the one before."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
