"""Fine-tuning and evaluation on JAX, without TensorFlow in the process: the same numbers.

Both backends begin with the weights of one fine-tuned model, output layer included.
"""

import json
import os
import subprocess
import sys

import pytest

from kbert import evaluate
from kbert.checkpoints.formats import load_finetuned
from kbert.tasks.classification import ClassificationTask
from tests.conftest import ROOT
from tests.tiny_checkpoint import finetune_with, write_checkpoint, write_rows

pytest.importorskip("jax")

TASK = ClassificationTask(dropout=0.0, sequence_length=16)
SETTINGS = {
    "epochs": 2,
    "batch_size": 16,
    "learning_rate": 1e-3,
    "encoder_dropout": 0.0,
    "verbose": 0,
}
VARIANTS = {"plain": {}, "parts": {"accumulate": 2}, "pgd": {"adversary": "pgd", "pgd_steps": 2}}

PROGRAM = """
import json, sys
from pathlib import Path
from tests.finetuning.test_jax import VARIANTS, again, scores_of
import keras
from kbert.engine.callbacks import Counter
import kbert.finetuning.run as run

folder = Path(sys.argv[1])
found = {name: again(folder, f"jax-{name}", **VARIANTS[name]) for name in VARIANTS}
found["evaluated"] = scores_of(folder / "jax-plain", folder)

class Killed(BaseException):
    pass

save_step = run.save_step

def killing(*args, **options):
    save_step(*args, **options)
    raise Killed

run.save_step = killing
try:
    again(folder, "jax-killed")
except Killed:
    run.save_step = save_step
found["resumed"] = again(folder, "jax-killed")
names = {name for name, module in sys.modules.items() if module is not None}
found["tensorflow"] = "tensorflow" in names
found["backend"] = keras.backend.backend()
print(json.dumps(found))
"""


def again(folder, output, **changes):
    """A fine-tuned model, trained further."""
    return finetune_with(
        TASK,
        folder / "tuned",
        folder / "train.tsv",
        folder / output,
        validation_path=folder / "dev.tsv",
        **SETTINGS | changes,
    )


def scores_of(path, folder):
    checkpoint = load_finetuned(path)
    return evaluate(checkpoint.task, checkpoint, folder / "dev.tsv")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("backends")
    write_checkpoint(folder / "start")
    write_rows(folder / "train.tsv", 48, seed=1)
    write_rows(folder / "dev.tsv", 30, seed=2)
    finetune_with(
        TASK,
        folder / "start",
        folder / "train.tsv",
        folder / "tuned",
        validation_share=0.0,
        **SETTINGS | {"epochs": 1},
    )
    return folder


@pytest.fixture(scope="module")
def on_jax(folder):
    result = subprocess.run(
        [sys.executable, "-c", f"import tests.conftest{PROGRAM}", str(folder)],
        cwd=ROOT,
        env={
            **os.environ,
            "KERAS_BACKEND": "jax",
            "JAX_PLATFORMS": "cpu",
            "KBERT_TEST_WITHOUT_TENSORFLOW": "1",
        },
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-5000:]
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", VARIANTS)
def test_scores_are_tensorflows(folder, on_jax, name):
    ours, theirs = on_jax[name], again(folder, f"tensorflow-{name}", **VARIANTS[name])
    assert ours["output_layer"] == theirs["output_layer"] == "of the checkpoint"
    # An adversary goes in the direction of a gradient, however short: rounding counts for more.
    tolerance = 1e-3 if "adversary" in VARIANTS[name] else 1e-4
    for metric in TASK.metric_names:
        assert ours["scores"][metric] == pytest.approx(theirs["scores"][metric], abs=tolerance)


def test_without_tensorflow(on_jax):
    assert on_jax["backend"] == "jax" and not on_jax["tensorflow"]


def test_what_is_kept_scores_as_reported_on_both(folder, on_jax):
    there, here = on_jax["evaluated"], scores_of(folder / "jax-plain", folder)
    for metric in TASK.metric_names:
        expected = pytest.approx(on_jax["plain"]["scores"][metric], abs=1e-5)
        assert there[metric] == expected and here[metric] == expected


def test_a_killed_run_goes_on_to_the_same_bits(folder, on_jax):
    assert on_jax["resumed"]["first_step"] == 3
    one, other = (folder / name / "model.safetensors" for name in ("jax-plain", "jax-killed"))
    assert one.read_bytes() == other.read_bytes()
