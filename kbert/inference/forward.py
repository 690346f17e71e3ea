"""A model's forward pass, compiled once for every shape of batch."""

import weakref
from collections.abc import Callable, Mapping

import keras
import numpy as np

Arrays = Mapping[str, np.ndarray]
# Whether each new shape of a batch is compiled anew.
SHAPES_COST = keras.backend.backend() != "tensorflow"
# The traces go when their models go.
_COMPILED: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def compiled_forward(model: keras.Model) -> Callable[[Arrays], dict[str, np.ndarray]]:
    """The function from a batch of inputs to the model's outputs, both by name.

    On TensorFlow it is traced once, with open axes. Keras would trace again for the second and the
    third shape, and `predict` takes 50 ms before it starts. Not compiled by XLA there, which would
    take seconds for each shape. On other backends it is Keras's, compiled for each shape.
    """
    if SHAPES_COST:
        return model.predict_on_batch
    if model not in _COMPILED:
        _COMPILED[model] = _traced_once(model)
    return _COMPILED[model]


def _traced_once(model: keras.Model) -> Callable[[Arrays], dict[str, np.ndarray]]:
    import tensorflow as tf

    signature = {
        name: tf.TensorSpec(symbol.shape, symbol.dtype) for name, symbol in model.input.items()
    }
    # Not the model: what the function holds would never go.
    reference = weakref.ref(model)
    forward = tf.function(
        lambda inputs: reference()(inputs, training=False), input_signature=[signature]
    )
    return lambda inputs: {name: found.numpy() for name, found in forward(dict(inputs)).items()}
