"""A checkpoint as a SavedModel: raw text in, named answers out, the tokenizer inside the graph.

    PATH/VERSION/saved_model.pb     the graph, with its signatures
    PATH/VERSION/variables/         the weights, once
    PATH/VERSION/assets/            vocab.txt, task.json, config.json with all files' checksums
    PATH/VERSION/assets.extra/      what TensorFlow Serving warms up with

Signatures:

    serving_default   strings, each (batch,): text, and second for a task on pairs; or context,
                      question, and choices (batch, choices)
    token_ids         token_ids, segment_ids, padding_mask: int32 (batch, sequence), or
                      (batch, choices, sequence)
    model_outputs     the same; gives the model's outputs, which `Task.decode` takes

The first answers what `Task.decode` answers; kbert/serving/graph/ says under which names. The
second answers the same, but for tagging and question answering, which have no answer without the
text: they have no such signature.
"""

import os
import pathlib
import tempfile
from collections.abc import Callable, Mapping

import tensorflow as tf

from kbert.checkpoints.directory import Checkpoint
from kbert.checkpoints.sentence_vectors import Pooling
from kbert.files import locked, replacing_folder
from kbert.serving.assets import check_version, write_assets
from kbert.serving.graph import graph_of
from kbert.serving.graph.base import OutputsGraph
from kbert.serving.index import write_index
from kbert.serving.model_outputs import Exportable, check_backend, served_model
from kbert.serving.settings import ExportSettings
from kbert.serving.signature_defs import MODEL_OUTPUTS, SIGNATURE
from kbert.serving.warmup import write_warmup
from kbert.text.tokenizer import WordPieceTokenizer


def export_saved_model(
    path: str | os.PathLike,
    checkpoint: Checkpoint,
    version: int = ExportSettings.version,
    answers: str | None = ExportSettings.answers,
    top: int = ExportSettings.top,
    pooling: Pooling | None = None,
) -> pathlib.Path:
    """Write PATH/VERSION, whole or not at all, and return it.

    Texts are cut to the task's sequence length, of a model without a task to the longest that it
    takes; tagging and question answering cut nothing.

    Args:
        answers: of a model without a task "fill-mask" or "embedding"; None for fill-mask of a
            pre-training model, and embedding of an encoder.
        top: pieces for a [MASK].
        pooling: how an encoder's vectors become that of a text; None for their mean.

    Raises `DataError` for a version that is no positive number or already there, and for what the
    checkpoint cannot answer.
    """
    check_backend("A SavedModel")
    target = check_version(path, version)
    tokenizer = checkpoint.tokenizer
    if not isinstance(tokenizer, WordPieceTokenizer):  # The graph needs TensorFlow's.
        tokenizer = WordPieceTokenizer(tokenizer.vocabulary, **tokenizer.options)
    checkpoint = checkpoint._replace(tokenizer=tokenizer)
    served = served_model(checkpoint, answers, top, pooling)
    with locked(target), tempfile.TemporaryDirectory() as folder:
        check_version(path, version)  # Another process may have written it since.
        module = _ServedModel(checkpoint, served, pathlib.Path(folder))
        # TensorFlow Serving watches the folder and takes every number in it for a whole version.
        with replacing_folder(target) as temporary:
            tf.saved_model.save(module, str(temporary), signatures=module.signatures())
            write_warmup(temporary, target.parent.name)
            write_index(temporary)
    return target


class _ServedModel(tf.Module):
    """What the SavedModel keeps: the weights, the tokenizer, the assets.

    The Keras model itself stays outside: saved with it, every weight would be stored twice, under
    the layers and under the model. Only its operations enter the graph.
    """

    def __init__(self, checkpoint: Checkpoint, served: Exportable, folder: pathlib.Path):
        """`folder` is where the assets are written, to be copied into the SavedModel."""
        super().__init__(name="served_model")
        # Members of an ensemble have the same paths.
        self.weights = {}
        for number, weight in enumerate(served.weights):
            name = f"{weight.path}:{number}" if weight.path in self.weights else weight.path
            self.weights[name] = weight.value
        self.tokenizer = checkpoint.tokenizer
        self.assets = [
            tf.saved_model.Asset(str(file))
            for file in write_assets(folder, checkpoint, served.task)
        ]
        # Not `served` itself: what it holds would be kept a second time.
        self._graph = graph_of(served.task, checkpoint.tokenizer, served.forward)

    def signatures(self) -> dict:
        graph = self._graph
        row = [None, None] if graph.task.takes_choices else [None]
        ids = {name: [*row, None] for name in ("token_ids", "segment_ids", "padding_mask")}
        found = {
            SIGNATURE: _traced(graph.answer, graph.string_shapes, tf.string),
            MODEL_OUTPUTS: _traced(lambda **inputs: graph.forward(inputs), ids, tf.int32),
        }
        if isinstance(graph, OutputsGraph):
            found["token_ids"] = _traced(lambda **inputs: graph.answer_ids(inputs), ids, tf.int32)
        return found


def _traced(function: Callable[..., dict], shapes: Mapping[str, list], dtype: tf.DType):
    """A function of named tensors as a graph."""
    specs = {name: tf.TensorSpec(shape, dtype, name) for name, shape in shapes.items()}
    return tf.function(function, autograph=False).get_concrete_function(**specs)
