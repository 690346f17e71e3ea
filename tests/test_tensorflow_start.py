"""What TensorFlow is told before its import, in processes of its own."""

import os
import subprocess
import sys

import pytest

from kbert.tensorflow_start import WIDE_VECTORS
from tests.conftest import ROOT

# XLA ends the process at the first program that it compiles if it does not know a flag.
TENSORFLOW = """
import kbert, os
import tensorflow as tf
assert tf.function(lambda x: x + 1, jit_compile=True)(tf.ones(())) == 2
from kbert.engine.devices import compile_whole_step
print(os.environ["XLA_FLAGS"], compile_whole_step())
"""
TENSORFLOW_FIRST = """
import tensorflow as tf
import kbert, os
from kbert.engine.devices import compile_whole_step
print(os.environ.get("XLA_FLAGS"), compile_whole_step())
"""
JAX = """
import kbert, os
import jax
assert jax.jit(lambda x: x + 1)(1) == 2
print(os.environ["XLA_FLAGS"])
"""
OWN = "--xla_cpu_enable_fast_math=false"


@pytest.mark.parametrize(
    ("program", "own", "printed"),
    [
        (TENSORFLOW, None, [WIDE_VECTORS, "False"]),
        (TENSORFLOW, OWN, [OWN, "False"]),
        (TENSORFLOW_FIRST, None, ["None", "True"]),
        (JAX, None, [WIDE_VECTORS]),
    ],
    ids=["as usual", "with flags of one's own", "TensorFlow first", "JAX"],
)
def test_xla_is_told_before_tensorflow_is_imported(program, own, printed):
    """What to compile, and to use whole registers."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("XLA_FLAGS", "TF_XLA_FLAGS", "KERAS_BACKEND")
    }
    environment["CUDA_VISIBLE_DEVICES"] = "-1"
    if own:
        environment["XLA_FLAGS"] = own
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert result.stdout.split() == printed
