"""What an export computes before anything is decoded: the model's outputs, for its task."""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from kbert.checkpoints.directory import Checkpoint
from kbert.checkpoints.sentence_vectors import Pooling
from kbert.errors import DataError
from kbert.inference.fill_mask import FillMask
from kbert.serving.encoder_outputs import EncoderOutputs
from kbert.serving.exported_task import as_served, exported_encoder, exported_task
from kbert.serving.settings import ExportSettings

Tensors = dict[str, tf.Tensor]


class Exportable(NamedTuple):
    """A checkpoint as it is exported.

    Attributes:
        task: its own, or what stands in the place of one.
        weights: what `forward` needs.
        forward: from inputs (batch, ..., sequence) to what `task.decode` takes.
    """

    task: Any
    weights: list[keras.Variable]
    forward: Callable[[Tensors], Tensors]


def check_backend(what: str) -> None:
    """Raise `DataError` where Keras does not compute with TensorFlow, which `what` needs."""
    if keras.backend.backend() != "tensorflow":
        raise DataError(
            f"{what} needs KERAS_BACKEND=tensorflow. Received: {keras.backend.backend()}."
        )


def served_model(
    checkpoint: Checkpoint,
    answers: str | None = ExportSettings.answers,
    top: int = ExportSettings.top,
    pooling: Pooling | None = None,
) -> Exportable:
    """What of a checkpoint is exported.

    Args:
        answers: of a model without a task; see `ExportSettings`.
        top: pieces for a [MASK].
        pooling: of an encoder; None as `as_served` says.

    Raises `DataError` for what the checkpoint cannot answer.
    """
    checkpoint, pooling = as_served(checkpoint, pooling)
    task = exported_task(checkpoint, answers, top, pooling)
    model, tokenizer, _, _ = checkpoint
    if isinstance(task, FillMask):
        return Exportable(task, model.weights, _fills_masks(model, tokenizer, top))
    if isinstance(task, EncoderOutputs):
        encoder = exported_encoder(checkpoint, pooling)
        return Exportable(task, encoder.weights, _embeds(encoder, pooling))
    return Exportable(task, model.weights, lambda inputs: _float32(model(inputs, training=False)))


def _float32(outputs: Tensors) -> Tensors:
    """The outputs as NumPy knows them, in whatever precision they were computed."""
    return {name: tf.cast(output, tf.float32) for name, output in outputs.items()}


def _embeds(encoder: keras.Model, pooling: Pooling) -> Callable[[Tensors], Tensors]:
    def forward(inputs):
        outputs = encoder(inputs, training=False)
        pooled = tf.concat([outputs[mode] for mode in pooling.modes], axis=-1)
        vectors = {name: x for name, x in outputs.items() if name not in pooling.modes}
        return _float32(vectors | {"embedding": pooling.finish(pooled)})

    return forward


def _fills_masks(model: keras.Model, tokenizer: Any, top: int) -> Callable[[Tensors], Tensors]:
    vocabulary = tokenizer.vocabulary

    def forward(inputs):
        token_ids = inputs["token_ids"]
        is_mask = token_ids == tokenizer.mask_id
        counts = tf.reduce_sum(tf.cast(is_mask, tf.int32), axis=1)
        most = tf.reduce_max(tf.concat([counts, [0]], axis=0))
        # Those of the masks first, in their order.
        positions = tf.argsort(tf.cast(~is_mask, tf.int32), axis=1, stable=True)[:, :most]
        first = tf.zeros([tf.shape(token_ids)[0], 1], tf.int32)
        given = {**inputs, "mask_positions": positions, "cls_positions": first}
        wanted = {name: given[name] for name in model.input}
        logits = model(wanted, training=False)["masked_lm"]
        scores, pieces = tf.math.top_k(tf.nn.softmax(tf.cast(logits, tf.float32)), top)
        there = tf.sequence_mask(counts, most)[:, :, None]
        return {
            "token": tf.where(there, tf.gather(tf.constant(vocabulary), pieces), ""),
            "score": tf.where(there, scores, 0.0),
        }

    return forward
