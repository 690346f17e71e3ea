"""What is traced goes with the function that was traced."""

import gc
import weakref

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from kbert.engine.traces import gradients_forgotten  # noqa: E402


@tf.custom_gradient
def _cube(x):
    return x**3, lambda upstream: upstream * 3 * x**2


def _traced():
    """A function that differentiates `_cube`, traced, and a reference to its graph."""

    @tf.function
    def slope(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = _cube(x)
        return tape.gradient(y, x)

    concrete = slope.get_concrete_function(tf.TensorSpec([], "float32"))
    return concrete, weakref.ref(concrete.graph)


def test_a_graph_goes_with_its_function_which_computes_as_long_as_it_is_held():
    with gradients_forgotten():
        slope, graph = _traced()
    np.testing.assert_allclose(slope(tf.constant(2.0)), 12)
    del slope
    gc.collect()
    assert graph() is None


def test_what_was_traced_outside_can_be_differentiated_behind_it():
    @tf.function
    def cube(x):
        return _cube(x)

    x = tf.constant(2.0)
    cube(x)
    with gradients_forgotten():
        _traced()
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = cube(x)
    np.testing.assert_allclose(tape.gradient(y, x), 12)


def test_tensorflow_still_keeps_what_is_forgotten_here():
    """Else `kbert.engine.traces` is no longer needed."""
    slope, graph = _traced()
    del slope
    gc.collect()
    assert graph() is not None
