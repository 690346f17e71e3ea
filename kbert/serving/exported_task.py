"""What an export answers: its checkpoint's task, or what stands in the place of one."""

from typing import Any

import keras

from kbert.checkpoints.directory import Checkpoint, known_outputs
from kbert.checkpoints.sentence_vectors import Pooling, trained_pooling, without_task
from kbert.errors import DataError
from kbert.inference.fill_mask import FillMask, check_head, check_top
from kbert.inference.text_encoder import pooling_model
from kbert.serving.encoder_outputs import EncoderOutputs


def exported_task(checkpoint: Checkpoint, answers: str | None, top: int, pooling: Pooling) -> Any:
    """A `Task`, `FillMask` or `EncoderOutputs`.

    Args:
        answers, top: as of `ExportSettings`.
        pooling: of an encoder.

    Raises `DataError` for what the checkpoint cannot answer.
    """
    model, tokenizer, config, task = checkpoint
    if task is not None:
        if answers is not None:
            raise DataError(f"The model answers {task.name}: it cannot answer {answers} too.")
        return task
    if answers is None:
        answers = FillMask.name if "masked_lm" in model.output else EncoderOutputs.name
    if answers not in (FillMask.name, EncoderOutputs.name):
        raise DataError(
            f"answers must be {FillMask.name} or {EncoderOutputs.name}. Received: {answers!r}."
        )
    longest = config.max_sequence_length
    if answers == FillMask.name:
        check_head(checkpoint)
        check_top(top, tokenizer.vocabulary_size)
        return FillMask(longest, top)
    pooling.check_fits(config.hidden_dim)
    return EncoderOutputs(min(pooling.sequence_length or longest, longest), pooling.prompt)


def as_served(checkpoint: Checkpoint, pooling: Pooling | None) -> tuple[Checkpoint, Pooling]:
    """The checkpoint, without a task where that was to make vectors; and the pooling: what is asked
    for, else what the model was trained with, else the mean of the last layer."""
    pooling = pooling or trained_pooling(checkpoint.task) or Pooling()
    return without_task(checkpoint), pooling


def exported_encoder(checkpoint: Checkpoint, pooling: Pooling) -> keras.Model:
    """The encoder with what `EncoderOutputs` gives of it, and an output for each mode of pooling.

    Without `pooled_output` where there is no pooler: a new one would have random weights.
    """
    return pooling_model(checkpoint, pooling, known_outputs(checkpoint.model))
