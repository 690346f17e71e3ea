"""How new weights begin."""

import contextlib
import contextvars
from collections.abc import Iterator

import keras

_BLANK = contextvars.ContextVar("blank", default=False)


def initializer(stddev: float) -> keras.initializers.Initializer:
    """BERT's: a normal distribution, cut off at two deviations."""
    if _BLANK.get():
        return keras.initializers.Zeros()
    return keras.initializers.TruncatedNormal(stddev=stddev)


@contextlib.contextmanager
def blank_weights() -> Iterator[None]:
    """Within it weights begin at 0: for a model that a file fills, all of it.

    Random numbers for BERT-large take seconds, and memory that TensorFlow does not give back.
    """
    token = _BLANK.set(True)
    try:
        yield
    finally:
        _BLANK.reset(token)
