"""What all tests share: a quiet TensorFlow, tiny sizes, a small token store."""

import os
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # pytest may be started from any folder
# Before Keras is imported. TensorFloat-32 would round the products that are compared to 1e-5.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")
# What XLA compiles here runs for milliseconds, and compiles sooner unoptimized.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)
if os.environ.get("KBERT_TEST_WITHOUT_TENSORFLOW"):
    # test_jax.py runs other tests in a process that cannot import TensorFlow.
    sys.modules["tensorflow"] = sys.modules["tensorflow_text"] = None

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

from kbert.config import BertConfig  # noqa: E402

# `import kbert` has set it. Without it, a pass of a test's tiny model is compiled once as a whole.
os.environ.pop("TF_XLA_FLAGS", None)

from tests.small_store import vocabulary_of, write_random_store  # noqa: E402

# A shell that runs the tests in the background lets them ignore Ctrl-C, and every process that they
# start would too.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A slow machine is no fault, and a run that fails must fail again.
# On JAX every new shape is compiled.
examples = 5 if os.environ["KERAS_BACKEND"] == "jax" else 50
settings.register_profile("kbert", deadline=None, max_examples=examples, derandomize=True)
settings.load_profile("kbert")

LONGEST = (
    "tests/test_jax.py",
    "tests/pretraining/",
    "tests/engine/",
    "tests/finetuning/",
    "tests/apps/",
)


def pytest_collection_modifyitems(items):
    """The longest files first, so that no processor waits for one of them at the end."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


@pytest.fixture
def tiny_config():
    """Two layers, eight wide: every part of BERT in about two thousand weights."""
    return BertConfig(
        40,
        num_layers=2,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=16,
        max_sequence_length=16,
    )


@pytest.fixture(scope="session")
def tiny_vocabulary():
    return vocabulary_of(60)


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory, tiny_vocabulary):
    """The folder of a token store: 40 training and 10 held-out documents of random pieces."""
    folder = tmp_path_factory.mktemp("store") / "store"
    return write_random_store(folder, tiny_vocabulary, train=40, validation=10)


@pytest.fixture(scope="session")
def shared_data():
    """`shared_data(name)`: the path of a downloaded data set, or the test is skipped."""

    def find(name):
        folder = Path(os.environ.get("KBERT_DATA", ROOT.parent / "shared" / "data"))
        if not (folder / name).exists():
            pytest.skip(f"no {name} in {folder}; KBERT_DATA names the folder with the data sets")
        return folder / name

    return find


@pytest.fixture
def precision():
    """`precision(policy)` sets Keras's dtype policy; float32 comes back after the test."""
    import keras

    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy("float32")
