"""Small models whose weights are the same on every machine, for golden.npz.

    python -m tests.golden.tiny_model FOLDER

writes FOLDER/pretraining and a folder for each fine-tuned task, and FOLDER/rotary with those that
RoFormer has, as `to_huggingface` does.
"""

import pathlib
import sys

import numpy as np

from kbert import (
    BertConfig,
    Checkpoint,
    WordPieceTokenizer,
    build_encoder,
    build_pretraining_model,
)
from kbert.checkpoints.directory import untrained
from kbert.checkpoints.weights import model_weights
from kbert.tasks.classification import ClassificationTask
from kbert.tasks.multilabel import MultiLabelTask
from kbert.tasks.multiple_choice import MultipleChoiceTask
from kbert.tasks.question_answering import QuestionAnsweringTask
from kbert.tasks.regression import RegressionTask
from kbert.tasks.tagging import TaggingTask
from tests.small_store import vocabulary_of

LENGTH = 12  # of a row in golden.npz
TASKS = {
    "classification": ClassificationTask(labels=("a", "b", "c"), sequence_length=LENGTH),
    "multilabel": MultiLabelTask(labels=("a", "b", "c"), sequence_length=LENGTH),
    "regression": RegressionTask(mean=2.5, deviation=1.5, sequence_length=LENGTH),
    "tagging": TaggingTask(labels=("loc", "per"), sequence_length=LENGTH),
    "qa": QuestionAnsweringTask(sequence_length=LENGTH, max_question_length=4, stride=2),
    "choice": MultipleChoiceTask(sequence_length=LENGTH),
}
ROTARY_TASKS = ("tagging", "qa", "choice")


def tiny_checkpoint() -> Checkpoint:
    """With both pre-training heads."""
    return _checkpoint(build_pretraining_model)


def tiny_finetuned(name: str, position: str = "learned") -> Checkpoint:
    """With the output layer of one of `TASKS`."""
    task = TASKS[name]
    return _checkpoint(lambda config: task.build_model(build_encoder(config)), task, position)


def tiny_rotary(objective: str | None) -> Checkpoint:
    """With rotary positions, and a masked LM's head or none."""
    return _checkpoint(lambda config: untrained(config, objective), position="rotary")


def _checkpoint(build, task=None, position="learned") -> Checkpoint:
    config = BertConfig(
        48,
        num_layers=2,
        num_heads=4,
        hidden_dim=32,
        intermediate_dim=64,
        max_sequence_length=16,
        position=position,
    )
    model = build(config)
    rng = np.random.default_rng(2)
    for _, weight in sorted(model_weights(model).items()):
        values = 0.2 * rng.standard_normal(tuple(weight.shape))
        weight.assign((values + weight.path.endswith("gamma")).astype("float32"))
    return Checkpoint(model, WordPieceTokenizer(vocabulary_of(48)), config, task)


if __name__ == "__main__":
    from kbert import to_huggingface

    folder = pathlib.Path(sys.argv[1])
    to_huggingface(folder / "pretraining", tiny_checkpoint())
    for name in TASKS:
        to_huggingface(folder / name, tiny_finetuned(name))
    to_huggingface(folder / "rotary" / "encoder", tiny_rotary(None))
    to_huggingface(folder / "rotary" / "masked-lm", tiny_rotary("masked-lm"))
    for name in ROTARY_TASKS:
        to_huggingface(folder / "rotary" / name, tiny_finetuned(name, "rotary"))
