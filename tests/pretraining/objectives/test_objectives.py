"""What holds for every objective: its rows, heads and scores fit each other."""

import numpy as np
import pytest

from kbert.config import BertConfig
from kbert.corpus.store import TokenStore
from kbert.models import BERT_OBJECTIVE, OBJECTIVE_HEADS, build_pretraining_model, objective_of
from kbert.pretraining.masking.token import TokenMasking
from kbert.pretraining.objectives import OBJECTIVES
from kbert.pretraining.rows import PretrainingRows

# What an encoder must be for an objective.
VARIANTS = {
    "left-to-right": {"direction": "left"},
    "two-directional": {"architecture": "bilstm", "direction": "apart"},
}


def test_checkpoints_know_the_objectives():
    assert list(OBJECTIVES) == list(OBJECTIVE_HEADS)
    assert BERT_OBJECTIVE == "masked-lm-next-sentence"


@pytest.mark.parametrize("name", OBJECTIVES)
def test_rows_are_what_the_model_takes_and_learns(name, tiny_store, tiny_config):
    store = TokenStore(tiny_store)
    objective = OBJECTIVES[name](TokenMasking(store.vocabulary))
    rows = PretrainingRows(
        store, "train", objective, sequence_length=16, batch_size=3, seed=0, packing=True
    )
    inputs, targets, weights = rows.batch(0)
    fields = tiny_config.to_dict() | {"vocabulary_size": len(store.vocabulary)}
    config = BertConfig(**fields, **VARIANTS.get(name, {}))
    objective.check(config)
    model = objective.build_model(config)
    assert objective_of(model) == name
    assert set(model.input) == set(inputs)
    assert tuple(targets) == tuple(weights) == tuple(model.output) == OBJECTIVE_HEADS[name]
    outputs = model(inputs)
    for head, logits in outputs.items():
        assert logits.shape[:-1] == targets[head].shape
        assert weights[head].sum() == pytest.approx(1, abs=1e-5)
        assert (targets[head] < logits.shape[-1]).all()
    sums = {key: float(value) for key, value in objective.sums(outputs, targets, weights).items()}
    scores = objective.scores(sums)
    over_pieces = set(outputs) - {"next_sentence", "sentence_order"}
    for head in over_pieces:
        assert scores[f"{head}_perplexity"] == pytest.approx(np.exp(sums[f"{head}_loss"]))
    assert set(scores) == {*sums, *(f"{head}_perplexity" for head in over_pieces)}
    assert objective.scores({f"{head}_loss": 1e9 for head in over_pieces})


def test_a_new_model_has_the_weights_of_its_heads_only(tiny_config):
    layers = {
        name: {
            w.path.split("/")[0] for w in build_pretraining_model(tiny_config, False, name).weights
        }
        for name in OBJECTIVE_HEADS
    }
    body = {"embedding", "block_0", "block_1", "masked_lm_head", "masked_lm_bias"}
    assert layers == {
        "masked-lm-next-sentence": body | {"pooler", "next_sentence_head"},
        "masked-lm": body,
        "masked-lm-sentence-order": body | {"pooler", "sentence_order_head"},
        "left-to-right": body,
        "two-directional": body,
    }
