"""Run by test_devices.py in a process of its own: what two devices compute, as JSON on stdout.

Two logical CPU devices must be asked for before TensorFlow starts, and the other tests want one.
"""

import contextlib
import ctypes
import dataclasses
import io
import json
import os
import resource
import sys
import tempfile
import traceback
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

from kbert.config import BertConfig  # noqa: E402
from kbert.corpus.store import TokenStore  # noqa: E402
from kbert.engine import devices  # noqa: E402
from kbert.engine import tensorflow as tensorflow_engine  # noqa: E402
from kbert.engine.optimizers import BertAdam, WarmupLinearDecay  # noqa: E402
from kbert.engine.tensorflow import TrainingModel, as_dataset  # noqa: E402
from kbert.models import build_pretraining_model  # noqa: E402
from kbert.pretraining import run as pretraining  # noqa: E402
from kbert.pretraining.masking.token import TokenMasking  # noqa: E402
from kbert.pretraining.objectives.masked_lm_next_sentence import MaskedLMNextSentence  # noqa: E402
from kbert.pretraining.rows import PretrainingRows  # noqa: E402
from kbert.pretraining.settings import PretrainingSettings, Schedule  # noqa: E402
from kbert.tensorflow_start import CLUSTER_FLAGS  # noqa: E402
from tests.engine.toy_model import (  # noqa: E402
    batch,
    dropped,
    embedded,
    fit,
    ids_batch,
    linear,
    selecting,
    weights_of,
)

STEPS = 20
ONE = tf.distribute.get_strategy()


def losses(store, strategy, **options):
    """The losses of 20 steps of BERT on rows with unequal numbers of predictions."""
    store = TokenStore(store)
    rows = PretrainingRows(
        store,
        "train",
        MaskedLMNextSentence(TokenMasking(store.vocabulary, 0.3)),
        sequence_length=16,
        batch_size=8,
        seed=0,
        short_probability=0.7,
    )
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
    with strategy.scope():
        model = TrainingModel(
            build_pretraining_model(config), MaskedLMNextSentence.sums, clip_norm=0.5, **options
        )
        model.compile(BertAdam(WarmupLinearDecay(1e-2, 3, STEPS)))
    used = [rows.batch(step)[2]["masked_lm"] > 0 for step in range(STEPS)]
    history = fit(model, as_dataset(rows.batch, STEPS))
    return {
        "losses": [logs["loss"] for logs in history],
        "norms": [logs["gradient_norm"] for logs in history],
        "predictions": [[int(slots[:4].sum()), int(slots[4:].sum())] for slots in used],
        "replicas": strategy.num_replicas_in_sync,
    }


def overflow(strategy, place, policy="float32"):
    """One step with an input that overflows at one place of four, then one without."""
    keras.config.set_dtype_policy(policy)
    with strategy.scope():
        model = linear(rate=1e-3, clip_norm=1.0)
    if policy == "mixed_float16":
        model.loss_scale.assign(64)
    good = [[1.0, 2.0], [3.0, -1.0], [0.5, 0.5], [2.0, 1.0]]
    bad = [[1e30, 1.0] if row == place else x for row, x in enumerate(good)]
    before = weights_of(model)
    fit(model, tf.data.Dataset.from_tensors(batch(bad)))
    after = weights_of(model)
    scale = number(model.loss_scale)
    iterations = number(model.optimizer.iterations)
    fit(model, tf.data.Dataset.from_tensors(batch(good)))
    copies = [
        [float(value.numpy().ravel()[0]) for value in strategy.experimental_local_results(w.value)]
        for w in model.model.trainable_weights
    ]
    keras.config.set_dtype_policy("float32")
    return {
        "unchanged": all(map(np.array_equal, before, after)),
        "iterations": iterations,
        "loss_scale": scale,
        "later": [w.tolist() for w in weights_of(model)],
        "copies_agree": all(len(set(values)) == 1 for values in copies),
        "data_step": number(model.data_step),
    }


def number(variable):
    return float(keras.ops.convert_to_numpy(variable))


def masks(strategy):
    with strategy.scope():
        model = dropped(rate=1e-3)
    return fit(model, tf.data.Dataset.from_tensors(selecting()).repeat(2))


def adversarial(strategy):
    """The weights after three steps against an adversary of two steps."""
    with strategy.scope():
        model = embedded(0.3, rate=0.02, steps=2, step_size=0.2)
    history = fit(model, tf.data.Dataset.from_tensors(ids_batch()).repeat(3))
    return {"logs": history, "weights": [w.tolist() for w in weights_of(model)]}


def run(store, strategy, folder):
    """`pretrain` from start to end, stopped and resumed on the way."""
    config = BertConfig.preset("tiny", len(TokenStore(store).vocabulary), num_layers=1)
    config = dataclasses.replace(config, dropout=0.0, attention_dropout=0.0)
    settings = PretrainingSettings(
        num_steps=4, batch_size=4, sequence_length=16, warmup_steps=2, learning_rate=1e-3
    )
    tensorflow_engine.devices = lambda: strategy
    with contextlib.redirect_stdout(io.StringIO()):
        summary = pretraining.pretrain(
            TokenStore(store),
            folder,
            config,
            settings,
            Schedule(save_every=2, validation_batches=2),
        )
    return {"steps": summary["steps"], "held_out": summary["held_out"]}


def with_clusters_allowed():
    os.environ["TF_XLA_FLAGS"] = CLUSTER_FLAGS
    return {"whole": devices.compile_whole_step()}


def large_block():
    """Pages taken anew for 64 MB that were in use, and freed, before."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    for _ in range(2):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        block = ctypes.c_void_p(libc.malloc(2**26))
        ctypes.memset(block, 1, 2**26)
        libc.free(block)
    return {"faults": resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before}


def main(store, *names):
    """Report all, or only what is named."""
    two = devices.strategy()
    folder = Path(tempfile.mkdtemp())
    parts = {
        "strategy": lambda: [type(two).__name__, two.num_replicas_in_sync],
        "large_block": large_block,
        "with_clusters_allowed": with_clusters_allowed,
        "one": lambda: losses(store, ONE),
        "two": lambda: losses(store, two, jit_step=True),
        "two_accumulating": lambda: losses(store, two, accumulate=2),
        "overflow_first": lambda: overflow(two, 0),
        "overflow_second": lambda: overflow(two, 3),
        "overflow_half": lambda: overflow(two, 3, "mixed_float16"),
        "overflow_one_device": lambda: overflow(ONE, 3),
        "masks": lambda: masks(two),
        "adversarial_one": lambda: adversarial(ONE),
        "adversarial_two": lambda: adversarial(two),
        "run_one": lambda: run(store, ONE, folder / "one"),
        "run_two": lambda: run(store, two, folder / "two"),
    }
    print(json.dumps({name: attempt(parts[name]) for name in names or parts}))


def attempt(part):
    """One part that fails shall not hide what the others found."""
    try:
        return part()
    except Exception:
        return {"error": traceback.format_exc()}


if __name__ == "__main__":
    main(*sys.argv[1:])
