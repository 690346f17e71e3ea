"""A model's forward pass from arrays to arrays, compiled once for every shape of batch."""

import dataclasses
import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    # What was exported runs without Keras, which takes seconds to import.
    import keras

Arrays = Mapping[str, np.ndarray]
# The traces go when their models go.
_COMPILED: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


@dataclasses.dataclass(frozen=True)
class Forward:
    """From a batch of a model's inputs to its outputs, both by name.

    Args:
        run: the function.
        compiles_shapes: whether each new shape of a batch is compiled anew, which takes seconds.
    """

    run: Callable[[Arrays], Mapping[str, np.ndarray]]
    compiles_shapes: bool = False


def compiles_shapes() -> bool:
    """Whether Keras's backend compiles each new shape of a batch anew."""
    import keras

    return keras.backend.backend() != "tensorflow"


def forward_of(model: "keras.Model | Forward") -> Forward:
    """A Keras model's forward pass; a `Forward` as it is.

    On TensorFlow it is traced once, with open axes. Keras would trace again for the second and the
    third shape, and `predict` takes 50 ms before it starts. Not compiled by XLA there, which would
    take seconds for each shape. On other backends it is Keras's, compiled for each shape.
    """
    if isinstance(model, Forward):
        return model
    if compiles_shapes():
        return Forward(model.predict_on_batch, compiles_shapes=True)
    if model not in _COMPILED:
        _COMPILED[model] = Forward(_traced_once(model))
    return _COMPILED[model]


def _traced_once(model: "keras.Model") -> Callable[[Arrays], dict[str, np.ndarray]]:
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
