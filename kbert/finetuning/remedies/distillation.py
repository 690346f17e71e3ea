"""Learning from fine-tuned models besides labels: soft labels (Hinton et al., arXiv 1503.02531).

    loss = (1 - share) loss of the labels + share T^2 KL(teachers || student)

with both sides' logits divided by the temperature T; T^2 keeps the size of the gradient. Teachers
are asked once, before the first step; of several it is the mean of their probabilities. Labels that
exclude no others are so many choices between two; of numbers it is the squared difference. Of tags
it is the mean over words, of spans the mean of that of their starts and that of their ends.

A CRF has no teacher and is none: its probabilities are those of whole sequences. The scores of a
word alone are, without those of its neighbours, not what it says of the word's tag.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from keras import ops
from scipy.special import expit, softmax

from kbert.checkpoints.directory import Checkpoint
from kbert.checkpoints.formats import load_finetuned
from kbert.errors import DataError
from kbert.finetuning.rows import FinetuningRows
from kbert.finetuning.settings import FinetuningSettings
from kbert.inference.answering import predict_features
from kbert.layers import Tensor
from kbert.layers.losses import divergence, relative_entropy
from kbert.tasks.base import Task
from kbert.tasks.features import Arrays, Feature

# Before the name of an output: the target that the teachers give, and its weight.
TARGET = "teacher/"


def taught(rows: FinetuningRows, start: Checkpoint, settings: FinetuningSettings) -> list[Feature]:
    """The training features, with what the teachers say of each as more targets.

    Args:
        start: what the student starts from.

    Raises `DataError` for a teacher of another task or of other labels, for one that cannot read
    what the student reads, and for a task whose answers have no mean.
    """
    features = rows.train_features
    if settings.teacher is None:
        return features
    if not rows.task.links:
        raise DataError(
            "Teachers are for answers of which each has a probability, or is a number: not for "
            f"similarity, nor for tagging with a CRF. Received: {rows.task.name}."
        )
    found = [_answers(path, rows, start, settings) for path in settings.teacher]
    return [_with_targets(feature, said) for feature, *said in zip(features, *found, strict=True)]


def token_targets(task: Task) -> frozenset[str]:
    """`Task.token_targets`, and those of them that teachers give."""
    names = [TARGET + name for name in task.links] if task.token_outputs else []
    return task.token_targets | set(names)


def _with_targets(feature: Feature, said: Sequence[tuple[Arrays, np.ndarray]]) -> Feature:
    """`said`: by each teacher, probabilities and the weights of their places."""
    probabilities, weight = [each for each, _ in said], said[0][1]
    targets = {
        TARGET + name: np.mean([each[name] for each in probabilities], axis=0)
        for name in probabilities[0]
    }
    weights = dict.fromkeys(targets, weight)
    return feature._replace(
        targets={**feature.targets, **targets}, weights={**feature.weights, **weights}
    )


def _answers(
    path: str, rows: FinetuningRows, start: Checkpoint, settings: FinetuningSettings
) -> list[tuple[Arrays, np.ndarray]]:
    """What a teacher says at the temperature, for each of the student's features."""
    task, examples = rows.task, rows.train
    teacher = load_finetuned(path)
    _check(path, teacher, task)
    features, longest = _features(path, teacher, rows, start)
    outputs = predict_features(teacher.model, features, settings.batch_size, longest)
    said: list[tuple] = [([], example, []) for example in examples]
    for feature, output in zip(features, outputs, strict=True):
        said[feature.example][0].append(output)
        said[feature.example][2].append(feature)
    found = []
    for feature in rows.train_features:
        logits, weight = task.taught(feature, said[feature.example])
        probabilities = {
            name: _PROBABILITIES[task.links[name]](values, settings.teacher_temperature)
            for name, values in logits.items()
        }
        found.append((probabilities, weight))
    return found


def _check(path: str, teacher: Checkpoint, task: Task) -> None:
    """Raise `DataError` for a teacher whose numbers mean something else than the student's."""
    own = teacher.task
    if own.name != task.name:
        raise DataError(f"The teacher {path} answers {own.name}. Expected: {task.name}.")
    for name in task.output_settings:
        if getattr(own, name) != getattr(task, name):
            raise DataError(
                f"The teacher {path} must have the {name} of the training rows, "
                f"{getattr(task, name)}. Received: {getattr(own, name)}."
            )
    if own.links != task.links:
        raise DataError(f"The teacher {path} has a CRF: it says nothing of a word alone.")


def _features(
    path: str, teacher: Checkpoint, rows: FinetuningRows, start: Checkpoint
) -> tuple[list[Feature], int]:
    """What a teacher reads of the training rows, and how long that is at most.

    It reads with its own tokenizer, which may have another vocabulary than the student's.
    """
    task, longest = rows.task, teacher.config.max_sequence_length
    own, others = teacher.tokenizer, start.tokenizer
    alike = own.vocabulary == others.vocabulary and own.options == others.options
    if alike and longest >= task.sequence_length:
        return rows.train_features, task.sequence_length
    if task.teachers_share_pieces:
        raise DataError(
            f"The teacher {path} must read text with the vocabulary of the student, and "
            f"{task.sequence_length} tokens of it. Received: "
            + (f"{longest} tokens." if alike else "another vocabulary.")
        )
    longest = min(longest, task.sequence_length)
    return dataclasses.replace(task, sequence_length=longest).encode(rows.train, own), longest


# By `Task.links`: logits and a temperature -> what a student learns, float32.
_PROBABILITIES: dict[str, Callable] = {
    "softmax": lambda x, temperature: softmax(_double(x) / temperature, axis=-1).astype("float32"),
    "sigmoid": lambda x, temperature: expit(_double(x) / temperature).astype("float32"),
    "identity": lambda x, temperature: np.asarray(x, "float32"),
}


def _double(values):
    return np.asarray(values, "float64")


def objective_of(task: Task, settings: FinetuningSettings):
    """The task's objective; with teachers, the loss from them beside it: "teacher_loss"."""
    if settings.teacher is None:
        return task.objective

    def objective(outputs: Mapping, targets: Mapping, weights: Mapping) -> dict:
        sums = task.objective(outputs, targets, weights)
        from_teachers = 0.0
        for name, link in task.links.items():
            target, temperature = targets[TARGET + name], settings.teacher_temperature
            distances = distance(outputs[name], target, link, temperature)
            from_teachers += ops.sum(weights[TARGET + name] * distances) / len(task.links)
        share = settings.teacher_share
        loss = (1 - share) * sums["loss"] + share * from_teachers
        return {**sums, "loss": loss, "teacher_loss": from_teachers}

    return objective


def distance(logits: Tensor, target: Tensor, link: str, temperature: float) -> Tensor:
    """How far a student is from its teachers: float32 (...).

    Args:
        logits: of the student, (..., width), any float type.
        target: of the teachers, (..., width): probabilities at the temperature, or numbers.
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
