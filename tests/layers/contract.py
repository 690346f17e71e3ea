"""What every layer of kbert promises as a Keras layer."""

import keras
import numpy as np

from tests.reference_bert import randomized


def check_layer(layer, *inputs, precision):
    """Rebuilt from its config it computes the same; 16 bits work; all its weights learn.

    Args:
        layer: not built yet, without dropout.
        inputs: NumPy arrays, the call's first arguments.
        precision: the fixture.
    """
    symbolic = layer(*_symbols(inputs))
    randomized(layer)
    output = numpy(outputs(layer, *inputs))
    _check_shapes(symbolic.shape, output)
    _check_serialization(layer, inputs, output)
    _check_policies(layer, inputs, output, precision)
    _check_learning(layer, inputs, output.shape)


def outputs(layer, *inputs):
    """layer(*inputs); on JAX compiled as one function, where else each operation would be."""
    if keras.backend.backend() != "jax":
        return layer(*inputs)
    import jax

    # Another function each time, so that the weights are those of now.
    return jax.jit(lambda *arrays: layer(*arrays))(*inputs)


def gradients(layer, x, upstream):
    """Of sum(upstream x layer(x)) after the layer's weights: path's last part -> array."""
    symbol = keras.Input(x.shape[1:], dtype=str(x.dtype))
    model = keras.Model(symbol, layer(symbol))
    # As one function: operation by operation TensorFlow may update a weight in place before the
    # gradient of another has read it.
    model.compile(
        keras.optimizers.SGD(1.0), lambda y, output: keras.ops.sum(y * output), jit_compile=True
    )
    before = {weight.path: numpy(weight).copy() for weight in layer.trainable_weights}
    model.train_on_batch(x, upstream)
    after = {weight.path: numpy(weight) for weight in layer.trainable_weights}
    return {path.split("/")[-1]: before[path] - after[path] for path in before}


def numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


def dtype_of(tensor):
    return keras.backend.standardize_dtype(tensor.dtype)


def _symbols(inputs):
    return [keras.Input((None, *x.shape[2:]), dtype=str(x.dtype)) for x in inputs]


def _check_shapes(symbolic, output):
    assert len(symbolic) == output.ndim
    assert all(a in (None, b) for a, b in zip(symbolic, output.shape, strict=True))


def _check_serialization(layer, inputs, output):
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(copy) is type(layer)
    assert copy.get_config() == layer.get_config()
    copy(*_symbols(inputs))
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(numpy(outputs(copy, *inputs)), output)


def _check_policies(layer, inputs, output, precision):
    """Weights stay float32; results agree to the digits that 16 bits have."""
    for policy, tolerance in (("mixed_bfloat16", 0.1), ("mixed_float16", 0.01)):
        precision(policy)
        copy = type(layer).from_config({**layer.get_config(), "dtype": policy})
        copy(*_symbols(inputs))
        copy.set_weights(layer.get_weights())
        assert {weight.dtype for weight in copy.weights} <= {"float32"}
        result = numpy(outputs(copy, *inputs)).astype("float32")
        np.testing.assert_allclose(result, output, rtol=tolerance, atol=tolerance)
    precision("float32")


def _check_learning(layer, inputs, shape):
    symbols = [keras.Input(x.shape[1:], dtype=str(x.dtype)) for x in inputs]
    model = keras.Model(symbols, layer(*symbols))
    eager = keras.backend.backend() != "jax"  # where each operation would be compiled
    model.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=eager)
    before = [numpy(weight).copy() for weight in layer.trainable_weights]
    model.train_on_batch(list(inputs), np.random.default_rng(0).normal(size=shape))
    for weight, old in zip(layer.trainable_weights, before, strict=True):
        assert not np.array_equal(numpy(weight), old), f"{weight.path} did not learn"
        assert np.isfinite(numpy(weight)).all()
