"""Two logical CPU devices against one: losses, clipping, overflow, dropout, a whole run."""

import json
import os
import platform
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from kbert.engine.devices import compile_whole_step, strategy, xla_clusters
from kbert.engine.precision import set_precision
from kbert.errors import DataError
from kbert.pretraining.settings import PretrainingSettings
from kbert.tensorflow_start import CLUSTER_FLAGS
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def report(tiny_store):
    """`report(part)`: what two_devices.py found, in one process for all tests of this file."""
    result = subprocess.run(
        [sys.executable, "-m", "tests.engine.two_devices", tiny_store],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
    )
    assert result.returncode == 0, result.stderr[-5000:]
    found = json.loads(result.stdout.splitlines()[-1])

    def part(name):
        assert "error" not in found[name], found[name]["error"]
        return found[name]

    return part


def test_all_visible_devices_are_used(report):
    assert report("strategy") == ["MirroredStrategy", 2]
    assert report("two")["replicas"] == 2 and report("one")["replicas"] == 1


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_freed_memory_is_kept_for_the_next_step(report):
    """glibc by itself would take all 16,384 pages anew."""
    assert report("large_block")["faults"] < 1000


def test_xla_compiles_the_whole_pass_unless_it_may_compile_clusters(report, monkeypatch):
    """TensorFlow cannot run clusters on several CPU devices."""
    assert report("with_clusters_allowed") == {"whole": True}
    monkeypatch.delenv("TF_XLA_FLAGS", raising=False)
    assert compile_whole_step() is True
    monkeypatch.setenv("TF_XLA_FLAGS", CLUSTER_FLAGS)
    assert compile_whole_step() is bool(tf.config.list_physical_devices("GPU"))


def test_clusters_are_compiled_only_within(monkeypatch):
    """What a notebook does behind pre-training would else be compiled for each of its shapes."""
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("on a GPU XLA compiles the whole step")

    def settings():
        remapping = tf.config.optimizer.get_experimental_options().get("remapping", True)
        return tf.config.optimizer.get_jit(), remapping

    monkeypatch.setenv("TF_XLA_FLAGS", CLUSTER_FLAGS)
    before = settings()
    with pytest.raises(KeyError), xla_clusters():
        assert settings() == ("autoclustering", False)
        raise KeyError
    assert settings() == before == ("", True)
    monkeypatch.delenv("TF_XLA_FLAGS")
    with xla_clusters():
        assert settings() == before


@pytest.mark.parametrize("two", ["two", "two_accumulating"])
def test_losses_equal_those_of_one_device(report, two):
    """Clipped, with other numbers of predictions on each replica, compiled or in microbatches."""
    unequal = [first != second for first, second in report(two)["predictions"]]
    assert sum(unequal) > 5
    assert len(report(two)["losses"]) == 20
    np.testing.assert_allclose(report(two)["losses"], report("one")["losses"], atol=1e-5, rtol=0)
    np.testing.assert_allclose(report(two)["norms"], report("one")["norms"], rtol=1e-3)
    assert min(report("one")["norms"]) > 0.5  # it was clipped
    assert np.ptp(report("one")["losses"]) > 0.1  # and each step was another


@pytest.mark.parametrize("where", ["overflow_first", "overflow_second", "overflow_half"])
def test_an_overflow_on_one_replica_changes_no_weight(report, where):
    found = report(where)
    assert found["unchanged"] and found["iterations"] == 0
    assert found["copies_agree"]
    assert found["data_step"] == 2
    assert found["loss_scale"] == (32 if where == "overflow_half" else 1)
    for new, expected in zip(found["later"], report("overflow_one_device")["later"], strict=True):
        np.testing.assert_allclose(new, expected, rtol=1e-2 if "half" in where else 1e-6)


def test_dropout_masks_differ_between_replicas_and_steps(report):
    found = [
        logs[f"{who}_{layer}"]
        for logs in report("masks")
        for who in ("first", "second")
        for layer in "ab"
    ]
    assert len(set(found)) == 8


def test_an_adversary_sees_the_gradient_of_the_whole_batch(report):
    one, two = report("adversarial_one"), report("adversarial_two")
    for name in ("loss", "adversarial_loss", "gradient_norm"):
        expected = [logs[name] for logs in one["logs"]]
        np.testing.assert_allclose([logs[name] for logs in two["logs"]], expected, rtol=1e-5)
    for ours, expected in zip(two["weights"], one["weights"], strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_a_whole_run_scores_the_same_on_held_out_text(report):
    one, two = report("run_one"), report("run_two")
    assert one["steps"] == two["steps"] > 0
    assert two["held_out"] == pytest.approx(one["held_out"], abs=1e-4)


def test_one_device_needs_no_strategy_of_its_own():
    if len(tf.config.list_physical_devices("GPU")) > 1:
        pytest.skip("a machine with several GPUs")
    assert strategy() is tf.distribute.get_strategy()


@pytest.mark.parametrize(
    ("precision_name", "policy"),
    [("float32", "float32"), ("bfloat16", "mixed_bfloat16"), ("float16", "mixed_float16")],
)
def test_precisions(precision, precision_name, policy):
    set_precision(precision_name)
    assert keras.config.dtype_policy().name == policy


def test_unknown_precision():
    with pytest.raises(DataError, match="one of float32, bfloat16, float16. Received: 'int8'"):
        PretrainingSettings(precision="int8")
