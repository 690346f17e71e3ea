"""Batches of encoded examples: padding and weights."""

import numpy as np

from kbert.tasks.features import Feature, pad_batch


def feature(tokens, label=0, weight=1.0, example=0):
    return Feature(
        {"token_ids": np.asarray(tokens, "int32")},
        example,
        {"label": np.asarray(label, "int32")},
        {"label": np.asarray(weight, "float32")},
    )


def test_a_batch_by_hand():
    inputs, targets, weights = pad_batch([feature([5, 6]), feature([7], 1, 3.0)], 4, 3)
    assert inputs["token_ids"].tolist() == [[5, 6, 0, 0], [7, 0, 0, 0], [0, 0, 0, 0]]
    assert inputs["token_ids"].dtype == "int32"
    assert targets["label"].tolist() == [0, 1, 0]
    assert weights["label"].tolist() == [0.25, 0.75, 0]


def test_choices_and_targets_of_tokens_are_padded():
    """What tagging and multiple choice hand over: a target a token, and a row a choice."""
    tagged = [
        Feature(
            {"token_ids": np.ones(n, "int32")},
            0,
            {"tags": np.full(n, 7, "int32")},
            {"tags": np.ones(n, "float32")},
        )
        for n in (1, 3)
    ]
    _, targets, weights = pad_batch(tagged, 4, 2, {"tags"})
    assert targets["tags"].tolist() == [[7, 0, 0, 0], [7, 7, 7, 0]]
    assert weights["tags"].tolist() == [[0.25, 0, 0, 0], [0.25, 0.25, 0.25, 0]]
    choices = [feature(np.ones((n, n))) for n in (2, 3)]
    assert pad_batch(choices, 8, 2)[0]["token_ids"].shape == (2, 3, 8)


def test_a_batch_without_anything_to_count_has_weight_zero():
    assert pad_batch([feature([1], weight=0.0)], 1, 1)[2]["label"].tolist() == [0]
