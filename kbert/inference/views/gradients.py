"""The gradient of a function, on the backends that have one: Keras has no operation for it."""

from collections.abc import Callable

import keras
from keras import ops

from kbert.errors import DataError
from kbert.layers import Tensor


def gradient_of(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """function(x, *others) -> the gradient of the sum of its values by x, of x's shape.

    Raises `DataError` on a backend other than TensorFlow and JAX.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return _by_tensorflow(function)
    if backend == "jax":
        import jax

        return jax.grad(lambda x, *others: ops.sum(function(x, *others)))
    raise DataError(f"Gradients need the backend tensorflow or jax. Received: {backend}.")


def _by_tensorflow(function):
    import tensorflow as tf

    def gradient(x, *others):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            total = ops.sum(function(x, *others))
        return tape.gradient(total, x)

    return gradient
