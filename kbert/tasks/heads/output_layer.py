"""What tasks put on the encoder, dropout and one dense layer, and the settings of both."""

from typing import TYPE_CHECKING

from kbert.settings import setting

if TYPE_CHECKING:
    import keras  # It takes seconds to import.


# Their names, from below.
LAYERS = ("classifier_dropout", "classifier")


def dropout_setting():
    """The field `dropout` of a task."""
    return setting(0.1, "rate before the output layer", at_least=0, below=1)


def label_smoothing_setting():
    """The field `label_smoothing`, of a task whose loss is a cross-entropy of classes."""
    return setting(
        0.0,
        "share of a right answer that the loss gives to all answers alike (arXiv 1512.00567)",
        at_least=0,
        below=1,
    )


def classifier(x: "keras.KerasTensor", size: int, dropout: float) -> "keras.KerasTensor":
    """x (..., hidden) -> dropout -> dense -> (..., size), float32 in every precision."""
    import keras

    x = keras.layers.Dropout(dropout, name=LAYERS[0])(x)
    return output_layer(size)(x)


def output_layer(size: int, name: str = LAYERS[1]) -> "keras.layers.Layer":
    """The one new layer of a fine-tuned model: (..., hidden) -> (..., size), float32."""
    import keras

    from kbert.layers.dense import initializer

    return keras.layers.Dense(
        size,
        # As all other weights of BERT (modeling.py, run_classifier.py and run_squad.py of
        # google-research).
        kernel_initializer=initializer(0.02),
        dtype="float32",
        name=name,
    )
