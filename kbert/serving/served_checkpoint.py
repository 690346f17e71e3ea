"""A checkpoint in the place of an export, so that a server answers with it."""

import os
from collections.abc import Callable

import keras
import tensorflow as tf

from kbert.checkpoints.formats import load_any, pooling_of
from kbert.inference.answerer import Answerer
from kbert.inference.forward import Forward
from kbert.serving.exported_task import as_served
from kbert.serving.model_outputs import check_backend, served_model
from kbert.serving.served import Served
from kbert.serving.views import views_of_checkpoint


class ServedCheckpoint(Served):
    """The model in a folder of any format.

    It answers as its export: a fine-tuned model its task, a masked LM fills masks, and any other
    model gives its encoder's outputs.

    Raises `DataError` for a folder without a model.
    """

    form = "checkpoint"
    platform = "keras_checkpoint"

    def __init__(self, path: str | os.PathLike):
        keras.config.set_dtype_policy("float32")
        checkpoint, pooling = as_served(load_any(path), pooling_of(path))
        self.views = views_of_checkpoint(checkpoint, pooling)
        model = checkpoint.model
        task, _, forward = served_model(checkpoint, pooling=pooling)
        if checkpoint.task is None:
            model = _of_arrays(forward)
        self.answerer = Answerer(task, checkpoint.tokenizer, model)


def _of_arrays(forward: Callable[[dict], dict]) -> Forward:
    """A function of tensors as one of arrays, traced once."""
    check_backend("Serving a model without a task")
    names = ("token_ids", "segment_ids", "padding_mask")
    specs = {name: tf.TensorSpec([None, None], tf.int32) for name in names}
    traced = tf.function(forward, input_signature=[specs], autograph=False)
    return Forward(lambda inputs: {n: x.numpy() for n, x in traced(dict(inputs)).items()})
