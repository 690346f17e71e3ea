"""What TensorFlow is told before its import, in processes of its own."""

import os
import subprocess
import sys

import pytest

from kbert.tensorflow_start import WIDE_VECTORS
from tests.conftest import ROOT

# XLA ends the process at the first program that it compiles if it knows no such flag. The products
# are the gradients of the keys and of the values where there is one query, and the tokens are as
# many as a head is wide: the same sizes, the one on its side.
TENSORFLOW = """
{imports}
import os
assert tf.function(lambda x: x + 1, jit_compile=True)(tf.ones(())) == 2
attention, query = tf.ones((2, 2, 1, 16)), tf.ones((2, 2, 1, 16))
tf.matmul(attention, query, transpose_a=True)
tf.matmul(tf.reshape(query, (2, 2, 16, 1)), attention)
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


def output_of(program, environment):
    """What a program of Python prints in a process of its own."""
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr[-2000:]
    return result.stdout


@pytest.fixture
def environment():
    """Of a user who has said nothing to XLA, Keras and oneDNN, but that this one shall speak."""
    said = ("XLA_FLAGS", "TF_XLA_FLAGS", "KERAS_BACKEND", "ONEDNN", "DNNL")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(said)}
    return kept | {"CUDA_VISIBLE_DEVICES": "-1", "ONEDNN_VERBOSE": "2"}


@pytest.mark.parametrize(
    ("imports", "own", "expected"),
    [
        ("import kbert; import tensorflow as tf", {}, [WIDE_VECTORS, "False"]),
        ("import kbert; import tensorflow as tf", {"XLA_FLAGS": OWN}, [OWN, "False"]),
        ("import tensorflow as tf; import kbert", {}, ["None", "True"]),
    ],
    ids=["as usual", "with flags of one's own", "TensorFlow first"],
)
def test_what_tensorflow_is_told(environment, imports, own, expected):
    """XLA before the import: what to compile, and to use whole registers. oneDNN in any case: it
    takes no product for another, or else one may be given the scratch memory of the other, which is
    shorter."""
    *lines, last = output_of(TENSORFLOW.format(imports=imports), environment | own).splitlines()
    assert last.split() == expected
    made = [line for line in lines if ",create:" in line and "16x1:" in line]
    if not made:
        pytest.skip("this TensorFlow multiplies without oneDNN")
    assert len(made) == 2 and all("create:cache_miss" in line for line in made)
    layouts = [line.split("src:")[1].split()[0] for line in made]
    assert layouts[0] != layouts[1]


def test_jax_is_told_before_its_import(environment):
    assert output_of(JAX, environment).split() == [WIDE_VECTORS]


NOISY = """
import os, sys
for line in (
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
    "I0000 00:00:1795891141.8 27811 port.cc:153] oneDNN custom operations are on.",
    "E0000 00:00:1795891193.1 27811 cuda_platform.cc:52] failed call to cuInit: 303",
    "To enable the following instructions: AVX2 FMA, rebuild TensorFlow.",
    "F0000 00:00:1795891193.1 27811 cpu.cc:52] needs AVX",
    "numpy is too old",
):
    os.write(2, line.encode() + b"\\n")
if os.environ.get("FAULT"):
    raise ImportError("libcudart is broken")
"""
QUIET = """
import os
import kbert.tensorflow_start as start
start.set_flags()
start.import_tensorflow_quietly()
os.write(2, b"after\\n")
import tensorflow
print(tensorflow.__file__)
"""


@pytest.mark.parametrize("fault", ["", "1"])
def test_the_imports_notes_are_dropped_and_all_else_is_shown(tmp_path, fault):
    """With a package in TensorFlow's place, which writes what TensorFlow does."""
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow/__init__.py").write_text(NOISY)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("TF_", "KERAS"))
    }
    environment |= {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}", "FAULT": fault}
    command = [sys.executable, "-c", QUIET]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    shown = result.stderr.splitlines()
    assert shown[:2] == ["F0000 00:00:1795891193.1 27811 cpu.cc:52] needs AVX", "numpy is too old"]
    if fault:
        assert shown[-1] == "ImportError: libcudart is broken"
    else:
        assert shown[2:] == ["after"]
        assert result.stdout.strip().startswith(str(tmp_path))
    asked = subprocess.run(
        command, cwd=tmp_path, env=environment | {"TF_CPP_MIN_LOG_LEVEL": "0"}, capture_output=True
    )
    assert b"port.cc" in asked.stderr and b"cuInit" in asked.stderr


SESSION = """
import sys
import kbert.tensorflow_start as start
start.set_flags()
start.import_session()
start.import_session()
print(len(sys.modules))
from tensorflow.python.client.session import Session
assert len(sys.modules) < 1000
{first}
import tensorflow as tf
import keras
start.import_session()
assert Session is tf.compat.v1.Session
assert tf.executing_eagerly() and tf.function(lambda x: x + 1)(tf.ones(())) == 2
assert keras.layers.Dense(3)(tf.ones((1, 2))).shape == (1, 3)
assert tf.keras.layers.Dense is keras.layers.Dense
print(len(sys.modules))
"""


@pytest.mark.parametrize(
    "first",
    [
        "",  # Keras comes second, below.
        "import tensorflow_text",
        "from tensorflow.keras import layers",
    ],
)
def test_a_session_takes_a_part_of_tensorflow_and_the_rest_comes_when_it_is_used(first):
    environment = {
        name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"
    }
    program = SESSION.format(first=first)
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert not result.stderr
    part, whole = map(int, result.stdout.split())
    assert part < 1000 < 3000 < whole


PLUGINS = """
import sys
import kbert.tensorflow_start as start
start.import_session()
print(len(sys.modules) > 3000)
"""


def test_plug_ins_for_devices_come_with_the_whole(tmp_path):
    """TensorFlow loads them when its package is imported, of each folder of packages."""
    (tmp_path / "tensorflow-plugins").mkdir()
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    assert output_of(PLUGINS, environment).split() == ["True"]
