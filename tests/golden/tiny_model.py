"""A small pre-training model whose weights are the same on every machine, for golden.npz."""

import sys

import numpy as np

from kbert import BertConfig, Checkpoint, WordPieceTokenizer, build_pretraining_model
from kbert.checkpoints.weights import model_weights
from tests.small_store import vocabulary_of


def tiny_checkpoint() -> Checkpoint:
    config = BertConfig(
        48,
        num_layers=2,
        num_heads=4,
        hidden_dim=32,
        intermediate_dim=64,
        max_sequence_length=16,
    )
    model = build_pretraining_model(config)
    rng = np.random.default_rng(2)
    for _, weight in sorted(model_weights(model).items()):
        values = 0.2 * rng.standard_normal(tuple(weight.shape))
        weight.assign((values + weight.path.endswith("gamma")).astype("float32"))
    return Checkpoint(model, WordPieceTokenizer(vocabulary_of(48)), config)


if __name__ == "__main__":
    from kbert import to_huggingface

    to_huggingface(sys.argv[1], tiny_checkpoint())
