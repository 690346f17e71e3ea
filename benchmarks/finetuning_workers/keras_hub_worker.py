"""keras-hub's BertTextClassifier as `fit` trains it: FOLDER SIZE PRECISION LENGTH.

LENGTH is what its preprocessor pads every row to.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras  # noqa: E402
import keras_hub  # noqa: E402
import tensorflow as tf  # noqa: E402
from rows import BATCH, SIZES, VOCABULARY, endless_batches, read_rows, serve, stacked  # noqa: E402


def main():
    folder, size, precision, length = sys.argv[1:5]
    keras.config.set_dtype_policy({"bfloat16": "mixed_bfloat16"}.get(precision, precision))
    layers, width, heads = SIZES[size]
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=VOCABULARY,
        num_layers=layers,
        num_heads=heads,
        hidden_dim=width,
        intermediate_dim=4 * width,
    )
    model = keras_hub.models.BertTextClassifier(backbone, num_classes=2, preprocessor=None)
    model.compile(
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        optimizer=keras.optimizers.AdamW(5e-5, weight_decay=0.01),
        metrics=["accuracy"],
    )
    batches = endless_batches(read_rows(folder), grouped=False)

    def draw():
        while True:
            arrays = stacked(next(batches), int(length))
            yield {name: arrays[name] for name in backbone.input}, arrays["label"]

    inputs = {name: tf.TensorSpec((BATCH, int(length)), "int32") for name in backbone.input}
    signature = (inputs, tf.TensorSpec((BATCH,), "int32"))
    dataset = iter(tf.data.Dataset.from_generator(draw, output_signature=signature).prefetch(2))
    model.make_train_function()
    train = model.train_function  # what `fit` calls

    def step():
        float(train(dataset)["loss"])
        return BATCH

    serve(step)


if __name__ == "__main__":
    main()
