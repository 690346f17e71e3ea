"""The losses of a few steps on either backend, and on JAX a run resumed, as test_jax.py runs it.

    few_steps.py STORE START FOLDER

START is a checkpoint, so that both backends begin with the same weights. Prints JSON.
"""

import dataclasses
import json
import os
import shutil
import sys
from pathlib import Path

if os.environ["KERAS_BACKEND"] == "jax":
    sys.modules["tensorflow"] = sys.modules["tensorflow_text"] = None

import numpy as np  # noqa: E402

from kbert.checkpoints.directory import load_model  # noqa: E402
from kbert.checkpoints.weights import read_arrays  # noqa: E402
from kbert.corpus.store import TokenStore  # noqa: E402
from kbert.engine.backend import engine  # noqa: E402
from kbert.engine.optimizers import WarmupLinearDecay  # noqa: E402
from kbert.pretraining.objectives.masked_lm_next_sentence import MaskedLMNextSentence  # noqa: E402
from kbert.pretraining.rows import PretrainingRows  # noqa: E402
from kbert.pretraining.run import pretrain  # noqa: E402
from kbert.pretraining.settings import PretrainingSettings, Schedule  # noqa: E402
from tests.engine.toy_model import fit  # noqa: E402

STEPS = 6


def losses(store, start, accumulate):
    """Of a model without dropout, with the gradient clipped in every step."""
    model, _, _ = load_model(start)
    rows = PretrainingRows(store, "train", sequence_length=16, batch_size=8, seed=0)
    trainer = engine().TrainingModel(
        model, MaskedLMNextSentence.sums, clip_norm=0.5, accumulate=accumulate
    )
    trainer.compile(engine().Adam(WarmupLinearDecay(0.01, 2, 100)))
    found = fit(trainer, engine().as_dataset(rows.batch, STEPS))
    bad = rows.batch(0)
    bad[2]["masked_lm"][0, 0] = np.inf
    before = [np.array(weight) for weight in model.get_weights()]
    trainer.fit(engine().as_dataset(lambda _: bad, 1), verbose=0, shuffle=False)
    same = all(map(np.array_equal, before, model.get_weights()))
    return {"logs": found, "infinite_changes_nothing": same}


def resumes(store, start, folder):
    """Whether a run that goes on after its second step ends with the weights of a whole one."""
    _, config, _ = load_model(start)
    config = dataclasses.replace(config, dropout=0.1, attention_dropout=0.1)
    settings = PretrainingSettings(num_steps=4, batch_size=8, sequence_length=16, warmup_steps=1)
    schedule = Schedule(save_every=2, validate_every=2, validation_batches=1)
    whole, broken = folder / "whole", folder / "broken"
    first = pretrain(store, whole, config, settings, schedule)
    broken.mkdir()
    shutil.copy(whole / "run.json", broken)
    shutil.copytree(whole / "steps" / "00000002", broken / "steps" / "00000002")
    second = pretrain(store, broken, config, settings, schedule)
    equal = []
    with (
        read_arrays(whole / "model.safetensors") as a,
        read_arrays(broken / "model.safetensors") as b,
    ):
        for name in a.keys():
            equal.append(np.array_equal(a.get_tensor(name), b.get_tensor(name)))
    return {"first": first["steps"], "went_on_at": second["first_step"], "equal": all(equal)}


def all_losses(store, start):
    """With whole batches and with microbatches."""
    return {"whole": losses(store, start, 1), "parts": losses(store, start, 2)}


def main():
    engine().devices()
    store, start, folder = TokenStore(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    answer = all_losses(store, start)
    answer["run"] = resumes(store, start, folder)
    answer["tensorflow"] = bool(sys.modules.get("tensorflow"))
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
