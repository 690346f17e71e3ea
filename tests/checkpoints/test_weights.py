"""Weights in files: what stands in the way of writing them."""

import errno
import os
import signal

import numpy as np
import pytest

from kbert.checkpoints.weights import read_arrays, write_arrays


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
