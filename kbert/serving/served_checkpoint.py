"""A checkpoint in the place of an export, so that a server answers with it."""

import os

import keras

from kbert.checkpoints.directory import encoder_of
from kbert.checkpoints.formats import load_any, pooling_of
from kbert.checkpoints.sentence_vectors import Pooling
from kbert.inference.answerer import Answerer
from kbert.serving.encoder_outputs import EncoderOutputs
from kbert.serving.served import Served
from kbert.serving.views import views_of_checkpoint


class ServedCheckpoint(Served):
    """The model in a folder of any format.

    A fine-tuned model answers as its export. A masked LM fills masks (`HiddenWords`), where an
    export has the encoder alone; any other model gives its encoder's outputs.

    Raises `DataError` for a folder without a model.
    """

    form = "checkpoint"

    def __init__(self, path: str | os.PathLike):
        keras.config.set_dtype_policy("float32")
        checkpoint = load_any(path)
        self.views = views_of_checkpoint(checkpoint, pooling_of(path) or Pooling())
        if checkpoint.task is not None:
            self.answerer = Answerer(checkpoint.task, checkpoint.tokenizer, checkpoint.model)
        elif "fill-mask" in self.views.answerers:
            self.answerer = self.views.answerers["fill-mask"]
        else:
            task = EncoderOutputs(checkpoint.config.max_sequence_length)
            encoder = encoder_of(checkpoint, only_trained=True)
            self.answerer = Answerer(task, checkpoint.tokenizer, encoder)
