"""kbert's pre-training step on JAX: full rows, as packing makes them, on one GPU (or the CPU)."""

import os
import sys

os.environ["KERAS_BACKEND"] = "jax"

import jax  # noqa: E402
import keras  # noqa: E402
import numpy as np  # noqa: E402
from worker import VOCABULARY, Cell, serve  # noqa: E402

from kbert.config import BertConfig  # noqa: E402
from kbert.engine.backend import engine  # noqa: E402
from kbert.engine.precision import set_precision  # noqa: E402
from kbert.models import build_pretraining_model  # noqa: E402
from kbert.pretraining.objectives.masked_lm_next_sentence import MaskedLMNextSentence  # noqa: E402


def main():
    cell = Cell.of(sys.argv[1:])
    set_precision(cell.precision)
    config = BertConfig.preset(cell.model, VOCABULARY)
    model = engine().TrainingModel(
        build_pretraining_model(config, "rematerialize" in sys.argv), MaskedLMNextSentence.sums
    )
    model.compile(engine().Adam(1e-4))
    arrays = cell.batch() | {"cls_positions": np.zeros((cell.rows, 1), "int32")}
    targets = {name: arrays.pop(name) for name in ("masked_lm", "next_sentence")}
    weights = {
        name: np.full(target.shape, 1 / target.size, "float32") for name, target in targets.items()
    }
    data = jax.device_put((arrays, targets, weights))
    train = jax.jit(model.train_step, donate_argnums=0)
    state = [
        [variable.value for variable in part]
        for part in (
            model.trainable_variables,
            model.non_trainable_variables,
            model.optimizer.variables,
            [],
        )
    ]

    def step():
        nonlocal state
        logs, state = train(state, data)
        return float(logs["loss"])

    device = jax.devices()[0]
    serve(
        step,
        lambda: (device.memory_stats() or {}).get("peak_bytes_in_use", 0) // 2**20,
        jax=jax.__version__,
        keras=keras.__version__,
        device=device.device_kind,
    )


if __name__ == "__main__":
    main()
