"""The JAX train step beside TensorFlow's: the same losses from the same weights and rows."""

import json
import os
import subprocess
import sys

import keras
import pytest

from kbert.checkpoints.directory import Checkpoint, save
from kbert.config import BertConfig
from kbert.corpus.store import TokenStore
from kbert.models import build_pretraining_model
from tests.conftest import ROOT
from tests.engine.few_steps import all_losses

pytest.importorskip("jax")


class Tokenizer:
    def __init__(self, store):
        self.vocabulary, self.options = store.vocabulary, store.tokenizer_options


@pytest.fixture(scope="module")
def answers(tiny_store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("jax")
    store = TokenStore(tiny_store)
    config = BertConfig(
        len(store.vocabulary),
        num_layers=1,
        num_heads=2,
        hidden_dim=16,
        intermediate_dim=32,
        max_sequence_length=16,
        dropout=0.0,
        attention_dropout=0.0,
    )
    keras.utils.set_random_seed(0)
    save(folder / "start", Checkpoint(build_pretraining_model(config), Tokenizer(store), config))
    result = subprocess.run(
        [sys.executable, "-m", "tests.engine.few_steps"]
        + [str(tiny_store), str(folder / "start"), str(folder)],
        cwd=ROOT,
        env={
            **os.environ,
            "KERAS_BACKEND": "jax",
            "JAX_PLATFORMS": "cpu",
            "KBERT_TEST_WITHOUT_TENSORFLOW": "1",
            "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=2",
        },
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-5000:]
    # Two devices there, one here.
    return {
        "jax": json.loads(result.stdout.strip().splitlines()[-1]),
        "tensorflow": all_losses(store, folder / "start"),
    }


@pytest.mark.parametrize("microbatches", ["whole", "parts"])
def test_losses_equal_tensorflows(answers, microbatches):
    ours, theirs = (answers[name][microbatches]["logs"] for name in ("jax", "tensorflow"))
    assert len(ours) == len(theirs) == 6
    for one, other in zip(ours, theirs, strict=True):
        assert one == pytest.approx(other, abs=1e-5)
        assert one["gradient_norm"] > 0.5  # so that it was clipped


def test_microbatches_add_up(answers):
    whole, parts = (answers["jax"][name]["logs"] for name in ("whole", "parts"))
    for one, other in zip(whole, parts, strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def test_an_infinite_gradient_changes_no_weight(answers):
    for backend in answers.values():
        assert backend["whole"]["infinite_changes_nothing"]


def test_a_run_on_jax_resumes_bit_for_bit_without_tensorflow(answers):
    assert answers["jax"]["run"] == {"first": 4, "went_on_at": 2, "equal": True}
    assert not answers["jax"]["tensorflow"]
