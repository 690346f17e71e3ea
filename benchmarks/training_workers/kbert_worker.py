"""kbert's pre-training step with the settings that `kbert pretrain` uses.

A further argument `rematerialize` computes blocks again for their gradients.
"""

import os
import sys

from worker import VOCABULARY, Cell, serve

from kbert.tensorflow_start import import_tensorflow_quietly

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
import_tensorflow_quietly()

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

import kbert  # noqa: E402
from kbert.config import BertConfig  # noqa: E402
from kbert.engine.devices import compile_whole_step, xla_clusters  # noqa: E402
from kbert.engine.fused_adam import FusedBertAdam  # noqa: E402
from kbert.engine.precision import set_precision  # noqa: E402
from kbert.engine.tensorflow import TrainingModel  # noqa: E402
from kbert.models import build_pretraining_model  # noqa: E402
from kbert.pretraining.objectives.masked_lm_next_sentence import MaskedLMNextSentence  # noqa: E402


def batch_of(cell):
    arrays = cell.batch()
    targets = {name: arrays.pop(name) for name in ("masked_lm", "next_sentence")}
    weights = {
        name: np.full(target.shape, 1 / target.size, "float32") for name, target in targets.items()
    }
    return {**arrays, "cls_positions": np.zeros((cell.rows, 1), "int32")}, targets, weights


def main():
    cell = Cell.of(sys.argv[1:])
    set_precision(cell.precision)
    model = TrainingModel(
        build_pretraining_model(
            BertConfig.preset(cell.model, VOCABULARY), "rematerialize" in sys.argv
        ),
        MaskedLMNextSentence.sums,
        jit_step=compile_whole_step(),
    )
    model.compile(FusedBertAdam(1e-4))
    batches = iter(tf.data.Dataset.from_tensors(batch_of(cell)).repeat())
    model.make_train_function()
    train = model.train_function  # what `fit` calls
    with xla_clusters():
        serve(
            lambda: float(train(batches)["loss"]),
            kbert=kbert.__version__,
            keras=keras.__version__,
            tensorflow=tf.__version__,
        )


if __name__ == "__main__":
    main()
