"""Four exported models, each as the checkpoint that it came from and the folder with its version.

Exporting takes seconds, so the tests share them and do not write into them.
"""

import keras
import numpy as np
import pytest

from kbert import (
    BertConfig,
    Checkpoint,
    WordPieceTokenizer,
    build_encoder,
    build_pretraining_model,
    export_saved_model,
)
from kbert.tasks.classification import ClassificationTask
from kbert.tasks.multiple_choice import MultipleChoiceTask

WORDS = "the film was good bad music and we saw it , ! ##s ##ing e l a n 今 天 气 很 好".split()
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
CONFIG = BertConfig(
    len(VOCABULARY),
    num_layers=2,
    num_heads=2,
    hidden_dim=16,
    intermediate_dim=32,
    max_sequence_length=32,
)
LABELS = ("bad", "good", "中性")


def decided(model):
    """The model with large random weights, so that different texts get different answers."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.normal(scale=0.5, size=weight.shape))
    return model


def exported(folder, model, task, **options):
    checkpoint = Checkpoint(decided(model), WordPieceTokenizer(VOCABULARY), CONFIG, task)
    export_saved_model(folder, checkpoint, **options)
    return checkpoint, folder


@pytest.fixture(scope="session")
def single(tmp_path_factory):
    """A classifier of texts of at most 16 tokens."""
    keras.utils.set_random_seed(0)
    task = ClassificationTask(labels=LABELS, sequence_length=16)
    model = task.build_model(build_encoder(CONFIG))
    return exported(tmp_path_factory.mktemp("export") / "single", model, task)


@pytest.fixture(scope="session")
def pairs(tmp_path_factory):
    """A classifier of pairs of at most 12 tokens."""
    task = ClassificationTask(labels=("no", "yes"), second_column="second", sequence_length=12)
    model = task.build_model(build_encoder(CONFIG))
    return exported(tmp_path_factory.mktemp("export") / "pairs", model, task)


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory):
    """A pre-training model, of which the encoder is exported."""
    model = build_pretraining_model(CONFIG)
    folder = tmp_path_factory.mktemp("export") / "pretrained"
    return exported(folder, model, None, answers="embedding")


@pytest.fixture(scope="session")
def choice(tmp_path_factory):
    """Multiple choice, each of at most 12 tokens with its context."""
    task = MultipleChoiceTask(sequence_length=12)
    model = task.build_model(build_encoder(CONFIG))
    return exported(tmp_path_factory.mktemp("export") / "choice", model, task)
