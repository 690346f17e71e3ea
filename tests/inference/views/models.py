"""Small models with large random weights, whose answers depend on every token."""

import numpy as np

from kbert import BertConfig, Checkpoint, WordPieceTokenizer, build_encoder

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


def tokenizer():
    return WordPieceTokenizer(VOCABULARY)


def with_weights(model, scale=0.3):
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.normal(scale=scale, size=weight.shape))
    return model


def finetuned(task, scale=0.3):
    model = with_weights(task.build_model(build_encoder(CONFIG)), scale)
    return Checkpoint(model, tokenizer(), CONFIG, task)
