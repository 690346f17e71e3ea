"""Kernels and their gradients beside the same formulas, differentiated by the backend."""

import keras
import numpy as np
import pytest
from keras import ops

from kbert.layers import kernels
from tests.layers.contract import gradients, numpy

TARGETS = np.array([0, 3, 1, 4, 2, 4], "int32")
# A kernel of float32 tensors, its formula out of Keras's operations, the tensors' shapes.
CASES = {
    "gelu_tanh": (kernels.gelu_tanh, lambda x: ops.gelu(x, approximate=True), [(6, 5)]),
    "gelu_erf": (kernels.gelu_erf, lambda x: ops.gelu(x, approximate=False), [(6, 5)]),
    "softmax": (lambda x: kernels.softmax(x, "float32"), ops.softmax, [(6, 2, 5)]),
    "add_bias": (kernels.add_bias, ops.add, [(6, 5), (5,)]),
    "multiply_by_table": (
        kernels.multiply_by_table,
        lambda vectors, table: ops.matmul(vectors, ops.transpose(table)),
        [(6, 5), (9, 5)],
    ),
    "additive_score": (
        kernels.additive_score,
        lambda s, h, v: ops.sum(ops.tanh(s[:, :, :, None] + h[:, :, None]) * v[:, None, None], -1),
        [(2, 3, 5, 4), (2, 3, 7, 4), (3, 4)],
    ),
    "cross_entropy": (
        lambda x: kernels.cross_entropy(x, TARGETS[:, None]),
        lambda x: ops.sparse_categorical_crossentropy(TARGETS, x, from_logits=True),
        [(6, 5)],
    ),
}


class Applied(keras.layers.Layer):
    """A function of weights, whose gradients so are those of its arguments."""

    def __init__(self, function, arrays):
        super().__init__()
        self.function = function
        for number, array in enumerate(arrays):
            weight = self.add_weight(array.shape, name=str(number))
            weight.assign(array.copy())

    def call(self, x):
        return self.function(*(ops.convert_to_tensor(weight) for weight in self.weights))


@pytest.mark.parametrize("name", CASES)
def test_value_and_gradients(name):
    kernel, formula, shapes = CASES[name]
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape).astype("float32") * 2 for shape in shapes]
    expected = numpy(formula(*map(ops.convert_to_tensor, arrays)))
    found = numpy(kernel(*map(ops.convert_to_tensor, arrays)))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    upstream = rng.normal(size=expected.shape).astype("float32")
    ours, theirs = (
        gradients(Applied(function, arrays), np.zeros((len(expected), 1)), upstream)
        for function in (kernel, formula)
    )
    assert ours.keys() == theirs.keys() and len(ours) == len(shapes)
    for key, gradient in theirs.items():
        np.testing.assert_allclose(ours[key], gradient, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_the_wider_type_of_a_sum_and_the_narrower_of_a_softmax(dtype):
    x = ops.ones((2, 3), dtype)
    wide = kernels.add_bias(x, ops.ones(3, "float32"))
    narrow = kernels.softmax(ops.ones((2, 3), "float32"), dtype)
    assert [keras.backend.standardize_dtype(y.dtype) for y in (wide, narrow)] == ["float32", dtype]
