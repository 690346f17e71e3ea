"""Two logical CPU devices under MirroredStrategy: kbert's step, or Keras's own `fit`.

mirrored_worker.py MODEL ROWS LENGTH PREDICTIONS PRECISION kbert|keras|keras-hub

"keras" trains kbert's layers, "keras-hub" the BertMaskedLM of that library.
"""

import os
import sys

from worker import VOCABULARY, Cell, serve

from kbert.tensorflow_start import import_tensorflow_quietly

os.environ["KERAS_BACKEND"] = "tensorflow"
import_tensorflow_quietly()

import keras  # noqa: E402
import keras_hub_worker  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from kbert_worker import batch_of  # noqa: E402

from kbert.config import BertConfig  # noqa: E402
from kbert.engine import devices  # noqa: E402
from kbert.engine.fused_adam import FusedBertAdam  # noqa: E402
from kbert.engine.tensorflow import TrainingModel  # noqa: E402
from kbert.models import build_pretraining_model  # noqa: E402
from kbert.pretraining.objectives.masked_lm_next_sentence import MaskedLMNextSentence  # noqa: E402

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)


def kbert_model(cell):
    model = TrainingModel(
        build_pretraining_model(BertConfig.preset(cell.model, VOCABULARY)),
        MaskedLMNextSentence.sums,
        jit_step=devices.compile_whole_step(),
    )
    model.compile(FusedBertAdam(1e-4))
    return model


def keras_model(cell):
    """The same layers and losses, compiled as Keras's guide says; "auto" means no XLA here."""
    model = build_pretraining_model(BertConfig.preset(cell.model, VOCABULARY))
    losses = {
        name: keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        for name in ("masked_lm", "next_sentence")
    }
    model.compile(
        loss=losses, optimizer=keras.optimizers.AdamW(1e-4, weight_decay=0.01, global_clipnorm=1.0)
    )
    return model


def main():
    cell = Cell.of(sys.argv[1:])
    model_of = {"kbert": kbert_model, "keras": keras_model, "keras-hub": keras_hub_worker.model_of}
    if sys.argv[-1] == "kbert":
        strategy = devices.strategy()  # as `kbert pretrain` does
    else:
        names = [device.name for device in tf.config.list_logical_devices()]
        strategy = tf.distribute.MirroredStrategy(names)
    with strategy.scope():
        model = model_of[sys.argv[-1]](cell)
    batch = keras_hub_worker.batch_of(cell) if sys.argv[-1] == "keras-hub" else batch_of(cell)
    if sys.argv[-1] == "keras":
        inputs, targets, weights = batch
        batch = inputs, targets, {name: np.ones_like(w) for name, w in weights.items()}
    data = tf.data.Dataset.from_tensors(batch).repeat()
    model.fit(data, steps_per_epoch=1, verbose=0, shuffle=False)  # builds the optimizer
    batches = iter(strategy.experimental_distribute_dataset(data))
    train = model.train_function  # what `fit` calls
    serve(lambda: float(train(batches)["loss"]), devices=strategy.num_replicas_in_sync)


if __name__ == "__main__":
    main()
