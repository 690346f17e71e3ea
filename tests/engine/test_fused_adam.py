"""The fused update beside BertAdam's own formula, through many steps of warm-up and decay."""

import keras
import numpy as np
import pytest

from kbert.engine.fused_adam import FusedBertAdam
from kbert.engine.optimizers import BertAdam, WarmupLinearDecay


@pytest.mark.parametrize("bias_correction", [True, False])
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_equals_bert_adam(decay, bias_correction):
    rng = np.random.default_rng(0)
    start = [rng.normal(size=(3, 4)), rng.normal(size=4)]
    gradients = [[rng.normal(size=w.shape) * 10.0**-k for w in start] for k in range(6)]
    results = []
    for optimizer in (BertAdam, FusedBertAdam):
        adam = optimizer(WarmupLinearDecay(0.05, 2, 8), decay, bias_correction=bias_correction)
        variables = [keras.Variable(w, dtype="float32") for w in start]
        for step in gradients:
            adam.apply([keras.ops.convert_to_tensor(g, "float32") for g in step], variables)
        results.append([keras.ops.convert_to_numpy(v) for v in variables + adam.variables[1:]])
    assert len(results[0]) == 6
    for one, other in zip(*results, strict=True):
        # The kernel takes 1 - 0.999 in float32, which is off by 1.3e-5 of it.
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("optimizer", [BertAdam, FusedBertAdam])
def test_scale_multiplies_the_gradient(optimizer):
    start = np.random.default_rng(0).normal(size=(3, 4))
    results = []
    for gradient, scale in ((start, 0.25), (start * 0.25, 1.0)):
        adam = optimizer(0.05)
        variable = keras.Variable(start, dtype="float32")
        adam.build([variable])
        adam.update_step(keras.ops.convert_to_tensor(gradient), variable, 0.05, scale)
        results.append([keras.ops.convert_to_numpy(v) for v in (variable, *adam.variables[2:])])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
