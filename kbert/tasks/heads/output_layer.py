"""What tasks put on the encoder, dropout and one dense layer, and the settings of both."""

import argparse

from kbert.errors import DataError


def add_arguments(parser: argparse.ArgumentParser, task: type, length_help: str) -> None:
    """Add --dropout and --sequence-length, with the defaults of a class of tasks."""
    parser.add_argument(
        "--dropout", type=float, default=task.dropout, help="rate before the output layer"
    )
    parser.add_argument(
        "--sequence-length", type=int, default=task.sequence_length, help=length_help
    )


def add_label_smoothing(parser: argparse.ArgumentParser) -> None:
    """Add --label-smoothing, to the tasks whose loss is a cross-entropy of classes."""
    parser.add_argument(
        "--label-smoothing",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="of a right answer that the loss gives to all answers alike (arXiv 1512.00567)",
    )


def check_label_smoothing(share: float) -> None:
    """Raises DataError for what is no share."""
    if not 0 <= share < 1:
        raise DataError(f"Expected a label smoothing from 0 up to 1. Received: {share}.")


def check_settings(dropout: float, sequence_length: int, shortest: int) -> None:
    """Raises DataError for a dropout that is no rate, and for too short a sequence."""
    if not 0 <= dropout < 1:
        raise DataError(f"Expected a dropout from 0 up to 1. Received: {dropout}.")
    if sequence_length < shortest:
        raise DataError(
            f"Expected a sequence length of at least {shortest}. Received: {sequence_length}."
        )


def classifier(x, size: int, dropout: float):
    """x (..., hidden) -> dropout -> dense -> (..., size), float32 in every precision."""
    import keras

    x = keras.layers.Dropout(dropout, name="classifier_dropout")(x)
    return output_layer(size)(x)


def output_layer(size: int, name: str = "classifier"):
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
