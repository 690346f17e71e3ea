"""The TensorFlow-free zone on JAX, in a process that cannot import TensorFlow."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

pytest.importorskip("jax")

ENVIRONMENT = {
    **os.environ,
    "KERAS_BACKEND": "jax",
    "JAX_PLATFORMS": "cpu",
    "KBERT_TEST_WITHOUT_TENSORFLOW": "1",
}

# The public names and modules that need no TensorFlow, at work together.
AT_WORK = """
import sys
sys.modules["tensorflow"] = sys.modules["tensorflow_text"] = None

import jax
import keras
import numpy as np

import kbert
from kbert.checkpoints.directory import Checkpoint, load_model, save
from kbert.pretraining.rows import PretrainingRows
from kbert.corpus.store import TokenStore
from kbert.inference import answerer
from kbert.tasks import TASKS
from kbert.pretraining.objectives.masked_lm_next_sentence import MaskedLMNextSentence
from kbert.engine.optimizers import BertAdam, WarmupLinearDecay

assert keras.backend.backend() == "jax"
assert set(TASKS) and answerer
store = TokenStore(sys.argv[1])
rows = PretrainingRows(store, "train", sequence_length=16, batch_size=8, seed=0)
config = kbert.BertConfig(
    len(store.vocabulary), num_layers=1, num_heads=2, hidden_dim=16, intermediate_dim=32,
    max_sequence_length=16,
)
keras.utils.set_random_seed(0)
model = kbert.build_pretraining_model(config)
optimizer = BertAdam(WarmupLinearDecay(0.02, 2, 100))
optimizer.build(model.trainable_variables)


def loss(trainable, state, batch):
    inputs, targets, weights = batch
    outputs, state = model.stateless_call(trainable, state, inputs, training=True)
    return MaskedLMNextSentence.sums(outputs, targets, weights)["loss"], state


@jax.jit
def step(trainable, state, optimizer_state, batch):
    (value, state), gradients = jax.value_and_grad(loss, has_aux=True)(trainable, state, batch)
    trainable, optimizer_state = optimizer.stateless_apply(optimizer_state, gradients, trainable)
    return value, trainable, state, optimizer_state


values = [[v.value for v in vs] for vs in (
    model.trainable_variables, model.non_trainable_variables, optimizer.variables
)]
losses = []
for _ in range(20):
    value, *values = step(*values, rows.batch(0))
    losses.append(float(value))
assert np.isfinite(losses).all() and losses[-1] < losses[0] - 0.2, losses
for variable, value in zip(model.trainable_variables, values[0]):
    variable.assign(value)


class Tokenizer:
    vocabulary, options = store.vocabulary, store.tokenizer_options


save(sys.argv[2], Checkpoint(model, Tokenizer, config))
loaded, loaded_config, task = load_model(sys.argv[2])
assert loaded_config == config and task is None
inputs = rows.batch(0)[0]
np.testing.assert_array_equal(
    model(inputs)["masked_lm"], loaded(inputs)["masked_lm"]
)
assert "tensorflow" not in {name for name, module in sys.modules.items() if module}
print("works")
"""


def test_the_zone_without_tensorflow_works(tiny_store, tmp_path):
    """Rows drawn, gradient steps by jax.grad over `stateless_call`, a checkpoint there and back."""
    result = subprocess.run(
        [sys.executable, "-c", AT_WORK, tiny_store, tmp_path / "checkpoint"],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-5000:]
    assert result.stdout.strip().endswith("works")


# LSTMs, blocks that are computed again and encoders of other kinds compile longest.
SLOW = {
    "inference/test_answering.py",
    "inference/test_generation.py",
    "layers/test_bilstm.py",
    "layers/test_other_blocks.py",
    "layers/test_rematerialize.py",
    "test_architectures.py",
    "test_variants.py",
}
OTHERS = (
    "test_models.py",
    "test_config.py",
    "test_variants.py",
    "test_architectures.py",
    "pretraining/masking/test_token.py",
    "inference/test_answering.py",
    "engine/test_optimizers.py",
    "finetuning/remedies/test_adversarial.py",
    "pretraining/objectives/test_masked_lm_next_sentence.py",
    "tasks/test_classification.py",
    "tasks/test_question_answering.py",
)
LAYERS = sorted(f"layers/{file.name}" for file in (ROOT / "tests/layers").glob("test_*.py"))


def pass_their_tests(files):
    """The same test files, reference and all."""
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not small"]
        + [str(ROOT / "tests" / file) for file in files],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout[-5000:]
    assert " passed" in result.stdout


@pytest.mark.slow
def test_layers_pass_their_tests():
    pass_their_tests([file for file in LAYERS if file not in SLOW])


def test_models_losses_and_optimizers_pass_their_tests():
    pass_their_tests([file for file in OTHERS if file not in SLOW])


@pytest.mark.slow
def test_what_compiles_longest_passes_its_tests():
    pass_their_tests(sorted(SLOW))
