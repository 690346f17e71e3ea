"""keras-hub's BertMaskedLM: masked LM alone, as it has no next-sentence head."""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras  # noqa: E402
import keras_hub  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from worker import VOCABULARY, Cell, serve  # noqa: E402


def model_of(cell, **compile_options):
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=VOCABULARY,
        num_layers=cell.layers,
        num_heads=cell.heads,
        hidden_dim=cell.width,
        intermediate_dim=4 * cell.width,
    )
    model = keras_hub.models.BertMaskedLM(backbone=backbone)
    model.compile(
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        optimizer=keras.optimizers.AdamW(1e-4, weight_decay=0.01),
        **compile_options,
    )
    return model


def batch_of(cell):
    arrays = cell.batch()
    target = arrays.pop("masked_lm")
    arrays.pop("next_sentence")
    return arrays, target, np.ones(target.shape, "float32")


def main():
    cell = Cell.of(sys.argv[1:])
    keras.config.set_dtype_policy(
        "mixed_bfloat16" if cell.precision == "bfloat16" else cell.precision
    )
    model = model_of(cell, jit_compile="xla" in sys.argv)
    batches = iter(tf.data.Dataset.from_tensors(batch_of(cell)).repeat())
    model.make_train_function()
    train = model.train_function  # what `fit` calls
    serve(
        lambda: float(train(batches)["loss"]),
        keras_hub=keras_hub.__version__,
        keras=keras.__version__,
        tensorflow=tf.__version__,
    )


if __name__ == "__main__":
    main()
