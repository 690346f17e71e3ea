"""Answers from an export, without Keras: a SavedModel needs TensorFlow, an ONNX export
ONNX Runtime.

The graph computes the model's outputs, and the task in the export's assets reads texts and decodes
outputs as everywhere else: the answers are those of the checkpoint that was exported.
"""

import os

from kbert.errors import DataError
from kbert.inference.answerer import Answerer
from kbert.serving.index import check_index
from kbert.serving.served import Served
from kbert.serving.versions import ONNX_MODEL, newest_version
from kbert.serving.views import views_of_export


class Predictor(Served):
    """The model in an exported folder, ready to answer; many threads may call it at once.

    Args:
        path: what `kbert export` was given (the newest version is loaded), or one version.
        batch_size: texts computed together, at most.
        threads: that compute one batch of an ONNX export; None for all cores. Those of TensorFlow
            are the whole process's (`kbert.serving.cores.limit_threads`).

    Attributes, besides those of `Served`:
        outputs: the names of what the export answers on its own, without kbert.

    Raises `DataError` where there is nothing that `kbert export` wrote.
    """

    form = "export"

    def __init__(self, path: str | os.PathLike, batch_size: int = 64, threads: int | None = None):
        if batch_size < 1:
            raise DataError(f"A batch size must be at least 1. Received: {batch_size}.")
        folder = newest_version(path)
        check_index(folder)
        self.version = int(folder.name) if folder.name.isdecimal() else 1
        if (folder / ONNX_MODEL).is_file():
            from kbert.serving.onnx.session import load_onnx

            self.platform = "onnx_onnxv1"
            found = load_onnx(folder, threads)
        else:
            from kbert.serving.saved_model import load_saved_model

            self.platform = "tensorflow_savedmodel"
            found = load_saved_model(folder)
        task, model, tokenizer, self.outputs = found
        self.answerer = Answerer(task, tokenizer, model, batch_size)
        self.views = views_of_export(self.answerer)
