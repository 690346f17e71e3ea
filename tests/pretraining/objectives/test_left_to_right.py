"""Left to right: every piece is a target where the one before it stands, of its own text only."""

import pytest

from kbert.config import BertConfig
from kbert.corpus.store import TokenStore
from kbert.errors import DataError
from kbert.pretraining.masking.token import TokenMasking
from kbert.pretraining.objectives.left_to_right import LeftToRight
from kbert.pretraining.rows import PretrainingRows

CLS, SEP = 2, 3


@pytest.mark.parametrize("packing", [True, False])
def test_targets_are_the_next_pieces(tiny_store, packing):
    store = TokenStore(tiny_store)
    objective = LeftToRight(TokenMasking(store.vocabulary))
    rows = PretrainingRows(
        store, "train", objective, sequence_length=24, batch_size=16, seed=3, packing=packing
    )
    inputs, targets, weights = rows.batch(1)
    assert set(inputs) == {"token_ids", "segment_ids", "padding_mask"}
    counted = 0
    for ids, mask, target, weight in zip(
        inputs["token_ids"],
        inputs["padding_mask"],
        targets["next_token"],
        weights["next_token"],
        strict=True,
    ):
        for number in range(1, mask.max() + 1):
            text = ids[mask == number]
            assert text[0] == CLS and text[-1] == SEP and (text[1:-1] > SEP).all()
            assert list(target[mask == number][:-2]) == list(text[1:-1])
            assert (weight[mask == number][:-2] > 0).all()
            assert (weight[mask == number][-2:] == 0).all()
            counted += len(text) - 2
        assert (weight[mask == 0] == 0).all()
    assert (inputs["segment_ids"] == 0).all()
    assert (weights["next_token"] > 0).sum() == counted
    assert weights["next_token"].sum() == pytest.approx(1, abs=1e-6)


def test_an_encoder_that_sees_what_it_is_to_say_is_refused():
    objective = LeftToRight(TokenMasking(["[MASK]", "a"]))
    objective.check(BertConfig(5, direction="left"))
    with pytest.raises(DataError, match="left-to-right must have the direction left. Received: bo"):
        objective.check(BertConfig(5))
