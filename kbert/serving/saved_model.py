"""An exported SavedModel, ready to compute: TensorFlow and tensorflow-text, without Keras.

Only what older versions exported needs Keras (kbert/serving/older_export.py).
"""

import pathlib
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from kbert.errors import DataError
from kbert.inference.forward import Forward
from kbert.serving.exported import Exported, read_description
from kbert.serving.older_export import model_of
from kbert.serving.signature_defs import MODEL_OUTPUTS, SIGNATURE
from kbert.serving.traced_tokenizer import TracedTokenizer


def load_saved_model(folder: pathlib.Path) -> Exported:
    """What the SavedModel in a version's folder computes with.

    Raises `DataError` where there is none that `kbert export` wrote.
    """
    try:
        loaded = tf.saved_model.load(str(folder))
    except (OSError, ValueError, tf.errors.OpError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{folder} is not a SavedModel that can be loaded: {reason}") from error
    signatures = loaded.signatures
    weights = getattr(loaded, "weights", None)
    if SIGNATURE not in signatures or (MODEL_OUTPUTS not in signatures and not weights):
        raise DataError(
            f"{folder} has no signature {MODEL_OUTPUTS}: expected what `kbert export` writes."
        )
    # Sorted: TensorFlow gives them in another order in every process.
    outputs = tuple(sorted(signatures[SIGNATURE].structured_outputs))
    task, tokenizer_options, is_encoder = read_description(folder)
    tokenizer = TracedTokenizer(folder / "assets" / "vocab.txt", **tokenizer_options)
    if MODEL_OUTPUTS not in signatures:
        model = model_of(folder, weights, None if is_encoder else task)
        return Exported(task, model, tokenizer, outputs)
    signature = signatures[MODEL_OUTPUTS]

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        found = signature(**{name: tf.constant(values) for name, values in inputs.items()})
        return {name: output.numpy() for name, output in found.items()}

    # Its variables live as long as what was loaded does.
    return Exported(task, Forward(run), tokenizer, outputs, loaded)
