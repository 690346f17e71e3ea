"""Learning from fine-tuned models besides labels: soft labels (Hinton et al., arXiv 1503.02531).

    loss = (1 - share) loss of the labels + share T^2 KL(teachers || student)

with both sides' logits divided by the temperature T; T^2 keeps the size of the gradient. Teachers
are asked once, before the first step; of several it is the mean of their probabilities. Labels that
exclude no others are so many choices between two; of numbers it is the squared difference.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from keras import ops
from scipy.special import expit, softmax

from kbert.checkpoints.formats import load_finetuned
from kbert.errors import DataError
from kbert.finetuning.rows import FinetuningRows
from kbert.finetuning.settings import FinetuningSettings
from kbert.inference.answering import predict_features
from kbert.layers import Tensor
from kbert.layers.losses import divergence, relative_entropy
from kbert.tasks.base import Example, Task
from kbert.tasks.features import Feature
from kbert.tasks.texts import TextTask

# The target that the teachers give, and its weight.
TARGET = "teacher"


def taught(rows: FinetuningRows, settings: FinetuningSettings) -> list[Feature]:
    """The training features, with what the teachers say of each as one more target.

    Raises `DataError` for a teacher of another task or of other labels, and for a task whose
    answers are not of a whole text.
    """
    task, features = rows.task, rows.train_features
    if settings.teacher is None:
        return features
    if not isinstance(task, TextTask) or len(task.links) != 1:
        raise DataError(f"Teachers are for tasks on whole texts. Received: {task.name}.")
    found = [_answers(path, task, rows.train, settings) for path in settings.teacher]
    targets = np.mean(found, axis=0, dtype="float64").astype("float32")
    return [
        feature._replace(
            targets={**feature.targets, TARGET: target},
            weights={**feature.weights, TARGET: np.ones((), "float32")},
        )
        for feature, target in zip(features, targets, strict=True)
    ]


def _answers(
    path: str, task: Task, examples: Sequence[Example], settings: FinetuningSettings
) -> np.ndarray:
    """What a teacher says of each text, at the temperature: (texts, width)."""
    teacher = load_finetuned(path)
    own = teacher.task
    if own.name != task.name:
        raise DataError(f"The teacher {path} answers {own.name}. Expected: {task.name}.")
    for name in task.output_settings:
        if getattr(own, name) != getattr(task, name):
            raise DataError(
                f"The teacher {path} must have the {name} of the training rows, "
                f"{getattr(task, name)}. Received: {getattr(own, name)}."
            )
    # With its own tokenizer: it may have another vocabulary than the student.
    length = min(task.sequence_length, teacher.config.max_sequence_length)
    features = dataclasses.replace(own, sequence_length=length).encode(examples, teacher.tokenizer)
    outputs = predict_features(teacher.model, features, settings.batch_size, length)
    ((name, link),) = task.links.items()
    logits = np.array([output[name] for output in outputs], "float64")
    if link == "identity":
        return logits
    logits = logits / settings.teacher_temperature
    return expit(logits) if link == "sigmoid" else softmax(logits, axis=-1)


def objective_of(task: Task, settings: FinetuningSettings):
    """The task's objective; with teachers, the loss from them beside it: "teacher_loss"."""
    if settings.teacher is None:
        return task.objective
    ((name, link),) = task.links.items()

    def objective(outputs: Mapping, targets: Mapping, weights: Mapping) -> dict:
        sums = task.objective(outputs, targets, weights)
        distances = distance(outputs[name], targets[TARGET], link, settings.teacher_temperature)
        from_teachers = ops.sum(weights[TARGET] * distances)
        share = settings.teacher_share
        loss = (1 - share) * sums["loss"] + share * from_teachers
        return {**sums, "loss": loss, "teacher_loss": from_teachers}

    return objective


def distance(logits: Tensor, target: Tensor, link: str, temperature: float) -> Tensor:
    """How far a student is from its teachers: float32 (batch,).

    Args:
        logits: of the student, (batch, width), any float type.
        target: of the teachers, (batch, width): probabilities at the temperature, or numbers.
        link: see `Task.links`.
    """
    if link == "softmax":
        return divergence(logits, target, temperature)
    logits = ops.cast(logits, "float32")
    if link == "identity":
        return ops.sum(ops.square(logits - target), axis=-1)
    yes, no = (ops.log_sigmoid(x / temperature) for x in (logits, -logits))
    found = relative_entropy(target, yes) + relative_entropy(1 - target, no)
    return temperature**2 * ops.mean(found, axis=-1)
