"""A checkpoint as a SavedModel: raw text in, named answers out, the tokenizer inside the graph.

    PATH/VERSION/saved_model.pb     the graph, with its signatures
    PATH/VERSION/variables/         the weights, once
    PATH/VERSION/assets/            vocab.txt, config.json (with the checksums of all files) and, of
                                    a fine-tuned model, task.json
    PATH/VERSION/assets.extra/      what TensorFlow Serving warms up with

Signatures:

    serving_default   text, and second for a task on pairs: strings (batch,); or
                      context, question: strings (batch,), and choices: strings (batch, choices)
    token_ids         token_ids, segment_ids, padding_mask: int32 (batch, sequence), or
                      (batch, choices, sequence)
    model_outputs     the same; gives the model's outputs, which `Task.decode` takes

The first two answer the same outputs, each with a batch axis: those of `Task.serving_outputs`; of
an encoder `sequence_output`, `pooled_output` if it has a pooler, and `padding_mask`, which tells
the tokens from the padding. The text of the best `choice` only the strings can give.
"""

import os
import pathlib
import tempfile
from collections.abc import Callable

import keras
import tensorflow as tf

from kbert.checkpoints.directory import Checkpoint, encoder_of
from kbert.errors import DataError
from kbert.files import check_folder_writable, locked, replacing_folder, write_json
from kbert.serving.choice_inputs import choice_inputs
from kbert.serving.index import write_index
from kbert.serving.settings import ExportSettings
from kbert.serving.warmup import write_warmup
from kbert.tasks.base import Named
from kbert.text.vocabulary import save_vocabulary


def export_saved_model(
    path: str | os.PathLike, checkpoint: Checkpoint, version: int = ExportSettings.version
) -> pathlib.Path:
    """Write PATH/VERSION, whole or not at all, and return it.

    Texts are cut to the task's sequence length, of an encoder to the longest that it takes. Of a
    pre-training model the encoder is exported.

    Raises `DataError` for a version that is no positive number or already there.
    """
    target = check_version(path, version)
    with locked(target), tempfile.TemporaryDirectory() as folder:
        check_version(path, version)  # Another process may have written it since.
        module = _ServedModel(checkpoint, pathlib.Path(folder))
        # TensorFlow Serving watches the folder and takes every number in it for a whole version.
        with replacing_folder(target) as temporary:
            tf.saved_model.save(module, str(temporary), signatures=module.signatures())
            write_warmup(temporary, target.parent.name)
            write_index(temporary)
    return target


def check_version(path: str | os.PathLike, version: int) -> pathlib.Path:
    """The folder PATH/VERSION. Raises `DataError` unless it can be written."""
    ExportSettings(version)  # Checks it.
    target = pathlib.Path(path) / str(version)
    if target.exists():
        raise DataError(f"{target} is already there. Export under another --version.")
    check_folder_writable(path)
    return target


class _ServedModel(tf.Module):
    """What the SavedModel keeps: the weights, the tokenizer, the assets.

    The Keras model itself stays outside: saved with it, every weight would be stored twice, under
    the layers and under the model. Only its operations enter the graph.
    """

    def __init__(self, checkpoint: Checkpoint, folder: pathlib.Path):
        """`folder` is where the assets are written, to be copied into the SavedModel."""
        super().__init__(name="served_model")
        model, task = checkpoint.model, checkpoint.task
        if task is None:
            model = encoder_of(checkpoint, only_trained=True)
        self.weights = {weight.path: weight.value for weight in model.weights}
        self.tokenizer = checkpoint.tokenizer
        self.assets = [
            tf.saved_model.Asset(str(file)) for file in _write_assets(folder, checkpoint)
        ]
        self._pairs = task is not None and task.takes_pairs
        self._choices = task is not None and task.takes_choices
        self._sequence_length = (
            checkpoint.config.max_sequence_length if task is None else task.sequence_length
        )
        self._answer = _answer_function(model, task)
        self._model_outputs = _forward(model)

    def signatures(self) -> dict:
        row = [None, None] if self._choices else [None]
        ids = [
            tf.TensorSpec([*row, None], tf.int32, name)
            for name in ("token_ids", "segment_ids", "padding_mask")
        ]
        return {
            "serving_default": self._strings_function(),
            "token_ids": tf.function(self._from_ids, ids),
            "model_outputs": tf.function(self._outputs_from_ids, ids),
        }

    def _strings_function(self):
        if self._choices:
            shapes = {"context": [None], "question": [None], "choices": [None, None]}
        else:
            shapes = dict.fromkeys(("text", "second") if self._pairs else ("text",), [None])
        specs = [tf.TensorSpec(shape, tf.string, name) for name, shape in shapes.items()]
        return tf.function(self._from_choices if self._choices else self._from_texts, specs)

    def _from_texts(self, text, second=None):
        return self._answer(self.tokenizer(text, second, sequence_length=self._sequence_length))

    def _from_choices(self, context, question, choices):
        length = self._sequence_length
        answer = self._answer(choice_inputs(self.tokenizer, context, question, choices, length))
        return answer | {"choice": tf.gather(choices, answer["label"], batch_dims=1)}

    def _from_ids(self, token_ids, segment_ids, padding_mask):
        return self._answer(_inputs(token_ids, segment_ids, padding_mask))

    def _outputs_from_ids(self, token_ids, segment_ids, padding_mask):
        return self._model_outputs(_inputs(token_ids, segment_ids, padding_mask))


def _inputs(token_ids, segment_ids, padding_mask) -> dict:
    return {"token_ids": token_ids, "segment_ids": segment_ids, "padding_mask": padding_mask}


def _forward(model: keras.Model) -> Callable[[dict], dict]:
    """From the model's inputs to its outputs, float32 in every precision."""

    def forward(inputs):
        outputs = model(inputs, training=False)
        return {name: keras.ops.cast(output, "float32") for name, output in outputs.items()}

    return forward


def _answer_function(model: keras.Model, task) -> Callable[[dict], dict]:
    """From the model's inputs to the named outputs of both signatures."""
    forward = _forward(model)

    def answer(inputs):
        outputs = forward(inputs)
        if task is None:
            outputs = {**outputs, "padding_mask": inputs["padding_mask"]}
        else:
            outputs = task.serving_outputs(outputs)
        return {name: _as_tensor(output) for name, output in outputs.items()}

    return answer


def _as_tensor(output) -> tf.Tensor:
    """An output of `Task.serving_outputs`: numbers that stand for names become the names."""
    if isinstance(output, Named):
        return tf.gather(tf.constant(output.names), output.numbers)
    return output


def _write_assets(folder: pathlib.Path, checkpoint: Checkpoint) -> list[pathlib.Path]:
    """Write the files that describe the model; they are named as in a checkpoint directory."""
    save_vocabulary(folder / "vocab.txt", checkpoint.tokenizer.vocabulary)
    settings = {"encoder": checkpoint.config.to_dict(), "tokenizer": checkpoint.tokenizer.options}
    write_json(folder / "config.json", settings)
    if checkpoint.task is not None:
        task = checkpoint.task
        write_json(folder / "task.json", {"name": task.name, **task.to_json()})
    return sorted(folder.iterdir())
