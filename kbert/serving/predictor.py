"""Answers from an exported SavedModel, without Keras: TensorFlow and tensorflow-text are enough.

The graph computes the model's outputs, and the task in the export's assets reads texts and decodes
outputs as everywhere else: the answers are those of the checkpoint that was exported. Only what
older versions exported needs Keras (kbert/serving/older_export.py).
"""

import os
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

# Imported for the tokenizer's operations, which TensorFlow alone does not know.
import tensorflow_text  # noqa: F401

from kbert.errors import DataError
from kbert.files import read_object
from kbert.inference.answerer import Answerer
from kbert.inference.fill_mask import FillMask
from kbert.inference.forward import Forward
from kbert.serving.encoder_outputs import EncoderOutputs
from kbert.serving.index import check_index
from kbert.serving.older_export import model_of
from kbert.serving.served import Served
from kbert.serving.traced_tokenizer import TracedTokenizer
from kbert.serving.versions import newest_version
from kbert.serving.views import views_of_export
from kbert.tasks import read_task

# The signatures of an export: what TensorFlow Serving answers strings with, and what the model
# gives for integers, before anything is decoded.
SIGNATURE = "serving_default"
MODEL_OUTPUTS = "model_outputs"


class Predictor(Served):
    """The model in an exported folder, ready to answer; many threads may call it at once.

    Args:
        path: what `export_saved_model` was given (the newest version is loaded), or one version.
        batch_size: texts computed together, at most.

    Attributes, besides those of `Served`:
        outputs: the names that the signature for strings answers.

    Raises `DataError` where there is no SavedModel that `kbert export` wrote.
    """

    form = "export"

    def __init__(self, path: str | os.PathLike, batch_size: int = 64):
        if batch_size < 1:
            raise DataError(f"A batch size must be at least 1. Received: {batch_size}.")
        folder = newest_version(path)
        check_index(folder)
        self.version = int(folder.name) if folder.name.isdecimal() else 1
        try:
            # Kept: its variables live as long as it does.
            self._loaded = tf.saved_model.load(str(folder))
        except (OSError, ValueError, tf.errors.OpError) as error:
            reason = str(error).splitlines()[0]
            raise DataError(f"{folder} is not a SavedModel that can be loaded: {reason}") from error
        signatures = self._loaded.signatures
        weights = getattr(self._loaded, "weights", None)
        if SIGNATURE not in signatures or (MODEL_OUTPUTS not in signatures and not weights):
            raise DataError(
                f"{folder} has no signature {MODEL_OUTPUTS}: expected what `kbert export` writes."
            )
        # Sorted: TensorFlow gives them in another order in every process.
        self.outputs = tuple(sorted(signatures[SIGNATURE].structured_outputs))
        settings = read_object(folder / "assets" / "config.json")
        tokenizer = TracedTokenizer(folder / "assets" / "vocab.txt", **settings["tokenizer"])
        longest, task = settings["encoder"]["max_sequence_length"], None
        if (folder / "assets" / "task.json").is_file():
            others = (EncoderOutputs, FillMask)
            task = read_task(folder / "assets" / "task.json", longest, others)
        if MODEL_OUTPUTS in signatures:
            signature = signatures[MODEL_OUTPUTS]
            model = Forward(lambda inputs: _as_arrays(signature(**_as_tensors(inputs))))
        else:
            model = model_of(folder, weights, task)
        self.answerer = Answerer(task or EncoderOutputs(longest), tokenizer, model, batch_size)
        self.views = views_of_export(self.answerer)


def _as_tensors(inputs: Mapping[str, np.ndarray]) -> dict[str, tf.Tensor]:
    return {name: tf.constant(values) for name, values in inputs.items()}


def _as_arrays(outputs: Mapping[str, tf.Tensor]) -> dict[str, np.ndarray]:
    return {name: found.numpy() for name, found in outputs.items()}
