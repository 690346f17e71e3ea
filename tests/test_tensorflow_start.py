"""What TensorFlow is told before its import, in processes of its own."""

import os
import subprocess
import sys

import pytest

from kbert.tensorflow_start import WIDE_VECTORS
from tests.conftest import ROOT

# XLA ends the process at the first program that it compiles if it does not know a flag.
PROGRAM = """
import os
from kbert.tensorflow_start import import_tensorflow_quietly
import_tensorflow_quietly()
import tensorflow as tf
assert tf.function(lambda x: x + 1, jit_compile=True)(tf.ones(())) == 2
print(os.environ["XLA_FLAGS"])
"""


@pytest.mark.parametrize("own", [None, "--xla_cpu_enable_fast_math=false"])
def test_xla_uses_whole_registers_unless_its_flags_are_set(own):
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    environment["KERAS_BACKEND"] = "tensorflow"
    if own:
        environment["XLA_FLAGS"] = own
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert result.stdout.split() == [own or WIDE_VECTORS]
