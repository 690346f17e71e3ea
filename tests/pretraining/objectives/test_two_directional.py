"""Two LMs side by side: the targets of each, and that neither sees what it is to say."""

import keras
import numpy as np
import pytest

from kbert.config import BertConfig
from kbert.corpus.store import TokenStore
from kbert.errors import DataError
from kbert.models import build_pretraining_model
from kbert.pretraining.masking.token import TokenMasking
from kbert.pretraining.objectives.left_to_right import LeftToRight
from kbert.pretraining.objectives.two_directional import TwoDirectional
from kbert.pretraining.rows import PretrainingRows
from tests.layers.contract import numpy

CONFIG = BertConfig(
    12,
    num_layers=2,
    num_heads=2,
    hidden_dim=8,
    intermediate_dim=16,
    max_sequence_length=16,
    architecture="bilstm",
    direction="apart",
)


@pytest.mark.parametrize("packing", [True, False])
def test_one_half_predicts_what_stands_behind_and_one_what_stands_before(tiny_store, packing):
    """On the same rows turned round, the targets before are those behind."""
    store = TokenStore(tiny_store)
    masking = TokenMasking(store.vocabulary)
    options = {"sequence_length": 24, "batch_size": 16, "seed": 3, "packing": packing}
    rows = [
        PretrainingRows(store, "train", objective, **options).batch(1)
        for objective in (TwoDirectional(masking), LeftToRight(masking))
    ]
    (inputs, targets, weights), (same_inputs, to_right, to_right_weights) = rows
    for name, value in same_inputs.items():
        np.testing.assert_array_equal(inputs[name], value)
    np.testing.assert_array_equal(targets["next_token"], to_right["next_token"])
    np.testing.assert_array_equal(weights["next_token"], to_right_weights["next_token"])
    ids, mask = inputs["token_ids"], inputs["padding_mask"]
    target, weight = targets["previous_token"], weights["previous_token"]
    for row in range(len(ids)):
        for number in range(1, mask[row].max() + 1):
            own = mask[row] == number
            text = ids[row][own]
            assert list(target[row][own][2:]) == list(text[1:-1])
            assert (weight[row][own][2:] > 0).all() and (weight[row][own][:2] == 0).all()
    assert weight.sum() == pytest.approx(1, abs=1e-6)
    assert (weight > 0).sum() == (weights["next_token"] > 0).sum()


def test_no_head_sees_its_targets():
    """What stands behind a token changes none of its scores of the next; nor the other way round.
    All before it and itself do."""
    keras.utils.set_random_seed(0)
    model = build_pretraining_model(CONFIG, objective="two-directional")
    for weight in model.weights:
        weight.assign(np.random.default_rng(1).normal(scale=0.5, size=weight.shape))
    rows = np.tile(np.arange(5, 12), (2, 1)).astype("int32")
    place = 3
    for part, head in ((slice(4, None), "next_token"), (slice(None, 3), "previous_token")):
        changed = rows.copy()
        changed[1, part] = 6
        inputs = {"token_ids": changed, "segment_ids": rows * 0, "padding_mask": rows * 0 + 1}
        scores = {name: numpy(x) for name, x in model(inputs, training=False).items()}
        for name, (one, other) in scores.items():
            same = np.allclose(one[place], other[place], atol=1e-6)
            assert same == (name == head)


def test_only_lstms_apart_are_two_models():
    objective = TwoDirectional(TokenMasking(["[MASK]", "a"]))
    objective.check(CONFIG)
    with pytest.raises(DataError, match="two-directional must have the direction apart. Rec"):
        objective.check(BertConfig(5, architecture="bilstm"))
    with pytest.raises(ValueError, match="`direction` apart can be of a bilstm only"):
        BertConfig(5, direction="apart")
