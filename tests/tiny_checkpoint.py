"""A checkpoint of a few thousand random weights, and rows that it can learn in seconds."""

import dataclasses

import keras
import numpy as np

from kbert import (
    BertConfig,
    Checkpoint,
    build_encoder,
    build_pretraining_model,
    finetune,
    save,
)
from kbert.finetuning.settings import FinetuningSettings
from kbert.text.vocabulary import SPECIAL_TOKENS
from tests.reference_bert import randomized

WORDS = "the film was good bad music and we saw it very long short on a day".split()
NEUTRAL = [word for word in WORDS if word not in ("good", "bad")]


def random_checkpoint(words, task=None, pretraining=False, **sizes):
    """A model of random weights, so large that different texts get different answers."""
    from kbert import WordPieceTokenizer

    vocabulary = [*SPECIAL_TOKENS, *words]
    default = {"num_layers": 1, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16}
    config = BertConfig(len(vocabulary), **default | sizes)
    model = build_pretraining_model(config) if pretraining else build_encoder(config)
    model = model if task is None else task.build_model(model)
    randomized(model, stddev=0.5)
    return Checkpoint(model, WordPieceTokenizer(vocabulary), config, task)


def write_checkpoint(path, words=WORDS, max_sequence_length=32):
    """An encoder without dropout: the rows are few, and a test should not depend on luck."""
    from kbert import WordPieceTokenizer  # Needs TensorFlow, which those who fine-tune may lack.

    vocabulary = [*SPECIAL_TOKENS, *words]
    config = BertConfig(
        len(vocabulary),
        num_layers=1,
        num_heads=2,
        hidden_dim=32,
        intermediate_dim=64,
        max_sequence_length=max_sequence_length,
        dropout=0.0,
        attention_dropout=0.0,
    )
    keras.utils.set_random_seed(1)
    save(path, Checkpoint(build_encoder(config), WordPieceTokenizer(vocabulary), config))
    return path


def write_rows(path, rows, seed):
    """`text<TAB>label`: among up to nine other words stands "good" or "bad", the label."""
    rng = np.random.default_rng(seed)
    lines = ["text\tlabel"]
    for number in range(rows):
        label = ("bad", "good")[number % 2]
        words = [*rng.choice(NEUTRAL, rng.integers(1, 10)), label]
        lines.append(f"{' '.join(rng.permutation(words))}\t{label}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def finetune_with(task, *files, **values):
    """`finetune` with settings and keywords side by side."""
    names = {field.name for field in dataclasses.fields(FinetuningSettings)} & set(values)
    settings = FinetuningSettings(**{name: values.pop(name) for name in names})
    return finetune(task, *files, settings, **values)
