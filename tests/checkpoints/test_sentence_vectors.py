"""What becomes of pooled vectors, by torch's formulas; its file."""

import json

import numpy as np
import pytest
from scipy.special import erf, expit

from kbert.checkpoints.sentence_vectors import (
    ACTIVATIONS,
    Dense,
    LayerNorm,
    Normalize,
    Pooling,
    read_pooling,
    write_pooling,
)
from kbert.errors import DataError
from tests.tiny_checkpoint import write_checkpoint

RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(5, 4)).astype("float32")
KERNEL = (3 * RNG.normal(size=(4, 3))).astype("float32")
BIAS = RNG.normal(size=3).astype("float32")
SCALE, ALPHA = 1.0507009873554805, 1.6732632423543772  # of SELU


def softplus(x):
    return np.log1p(np.exp(x))


# From torch's documentation, with its default arguments.
FORMULAS = {
    "linear": lambda x: x,
    "celu": lambda x: np.maximum(x, 0) + np.minimum(0, np.expm1(x)),
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "gelu": lambda x: x * (1 + erf(x / np.sqrt(2))) / 2,
    "hard_shrink": lambda x: np.where(np.abs(x) > 0.5, x, 0),
    "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "hard_silu": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "log_sigmoid": lambda x: np.log(expit(x)),
    "mish": lambda x: x * np.tanh(softplus(x)),
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "selu": lambda x: SCALE * np.where(x > 0, x, ALPHA * np.expm1(x)),
    "sigmoid": expit,
    "silu": lambda x: x * expit(x),
    "soft_shrink": lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0),
    "softplus": softplus,
    "softsign": lambda x: x / (1 + np.abs(x)),
    "tanh": np.tanh,
    "tanh_shrink": lambda x: x - np.tanh(x),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_dense(name):
    expected = FORMULAS[name]((VECTORS @ KERNEL + BIAS).astype("float64"))
    np.testing.assert_allclose(Dense(name, KERNEL, BIAS)(VECTORS), expected, atol=2e-6, rtol=1e-5)
    without = FORMULAS[name]((VECTORS @ KERNEL).astype("float64"))
    np.testing.assert_allclose(Dense(name, KERNEL)(VECTORS), without, atol=2e-6, rtol=1e-5)


def test_norms():
    gamma, beta = RNG.normal(size=(2, 4)).astype("float32")
    for row, found in zip(VECTORS, LayerNorm(gamma, beta)(VECTORS), strict=True):
        expected = (row - row.mean()) / np.sqrt(row.var() + 1e-5) * gamma + beta
        np.testing.assert_allclose(found, expected, atol=1e-6)
    lengths = np.linalg.norm(Normalize()(VECTORS), axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-6)
    np.testing.assert_array_equal(Normalize()(np.zeros((1, 4), "float32")), np.zeros((1, 4)))


@pytest.mark.parametrize(
    "values",
    [
        {"mode": "median"},
        {"mode": "mean+"},
        {"mode": 1},
        {"layers": ()},
        {"combination": "times"},
        {"prompt": 3},
        {"sequence_length": 2},
    ],
)
def test_poolings_that_make_no_sense(values):
    with pytest.raises(DataError, match="The pooling's"):
        Pooling(**values)


def test_modules_must_fit():
    dense = Dense("tanh", KERNEL, BIAS)
    pooling = Pooling("mean+max", modules=(dense,))
    with pytest.raises(DataError, match="must take its 8 numbers. Received: one that takes 4"):
        pooling.check_fits(4)
    pooling.check_fits(2)
    assert (pooling.width(2), Pooling("mean+max", (-2, -1)).width(4)) == (3, 16)
    with pytest.raises(DataError, match="activation of a dense module"):
        Dense("swish", KERNEL)
    with pytest.raises(DataError, match=r"kernel \(input, output\)"):
        Dense("tanh", KERNEL, KERNEL)


def test_a_checkpoint_without_one(tmp_path):
    write_checkpoint(tmp_path / "encoder")
    assert read_pooling(tmp_path / "encoder") is None


def test_the_file(tmp_path):
    modules = (
        Dense("gelu", KERNEL, BIAS),
        LayerNorm(BIAS, BIAS),
        Normalize(),
        Dense("relu", KERNEL.T),
    )
    pooling = Pooling("max+cls", (-2, -1), "sum", True, modules, "query: ", 64)
    write_pooling(tmp_path, pooling)
    again = read_pooling(tmp_path)
    assert again == pooling
    np.testing.assert_array_equal(again.finish(VECTORS), pooling.finish(VECTORS))


def test_a_file_of_the_first_version(tmp_path):
    fields = {"mode": "max", "layers": [-2, -1], "combination": "sum", "normalize": True}
    (tmp_path / "pooling.json").write_text(json.dumps(fields))
    assert read_pooling(tmp_path) == Pooling("max", (-2, -1), "sum", True)


@pytest.mark.parametrize(
    "fields",
    [
        {"mode": "mean", "layer": 1},
        {"mode": "mean", "layers": 1},
        {"layers": [-1], "modules": [{"kind": "lstm"}]},
        {"layers": [-1], "modules": [{"kind": "dense", "activation": "tanh"}]},
        {"layers": [-1], "modules": [3]},
        {"layers": [-1], "mode": ["mean"]},
        {"layers": ["last"]},
    ],
)
def test_a_file_that_makes_no_sense(tmp_path, fields):
    (tmp_path / "pooling.json").write_text(json.dumps(fields))
    with pytest.raises(DataError, match="pooling.json"):
        read_pooling(tmp_path)
