"""What TensorFlow keeps of each trace."""

import contextlib
from collections.abc import Iterator

# No public name leads to the registry of gradients.
from tensorflow.python.framework.ops import gradient_registry


@contextlib.contextmanager
def gradients_forgotten() -> Iterator[None]:
    """What is traced within goes with its function, once its own gradient has been traced.

    TensorFlow registers each traced call of a `tf.custom_gradient` for ever, and with it the whole
    graph around the call: a process that fine-tunes many times grew by a hundred megabytes a run.
    """
    before = set(gradient_registry.list())
    try:
        yield
    finally:
        for name in set(gradient_registry.list()) - before:
            if name.startswith("CustomGradient-"):
                del gradient_registry._registry[name]
