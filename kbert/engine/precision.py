"""In which precision a model computes."""

PRECISIONS = {
    "float32": "float32",
    "bfloat16": "mixed_bfloat16",
    "float16": "mixed_float16",
}


def set_precision(precision: str) -> None:
    """Set Keras's policy: weights in float32, computation in `precision`, one of `PRECISIONS`."""
    import keras  # Settings need the names of precisions, and no Keras.

    keras.mixed_precision.set_dtype_policy(PRECISIONS[precision])
