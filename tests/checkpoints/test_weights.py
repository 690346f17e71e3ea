"""Weights in files: what stands in the way of writing them."""

import errno
import os
import signal

import numpy as np
import pytest

from kbert import save, to_huggingface
from kbert.checkpoints.weights import read_arrays, write_arrays
from kbert.errors import DataError
from tests.checkpoints.published_models import make


def test_a_full_disk_is_an_error_of_the_system_and_leaves_the_old_file(tmp_path):
    """A limit on the size of files stands in for the disk's end."""
    resource = pytest.importorskip("resource")
    file = tmp_path / "model.safetensors"
    write_arrays(file, {"a": np.arange(3.0)})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(OSError, match="model.safetensors") as raised:
            write_arrays(file, {"a": np.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert raised.value.errno == errno.EFBIG
    assert os.listdir(tmp_path) == ["model.safetensors"]
    with read_arrays(file) as old:
        np.testing.assert_array_equal(old.get_tensor("a"), np.arange(3.0))


@pytest.mark.parametrize("write", [save, to_huggingface])
def test_what_half_the_size_cannot_hold(tmp_path, write):
    checkpoint = make("encoder", seed=9)  # Of its own, because a weight is changed.
    bias = checkpoint.model.weights[-1]
    bias.assign(np.full(bias.shape, 1e5))
    with pytest.raises(DataError, match="has a number that float16 does not hold"):
        write(tmp_path, checkpoint, "float16")
