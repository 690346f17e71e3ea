"""A deeper model from a shallower one: its weights, and that it knows what that one knew."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kbert
from apps.cli import main
from kbert.checkpoints.directory import Checkpoint, load, save
from kbert.checkpoints.weights import model_weights
from kbert.config import BertConfig
from kbert.corpus.store import TokenStore
from kbert.errors import DataError
from kbert.models import build_encoder, build_pretraining_model
from kbert.pretraining.growth import deepened, sources_of
from tests.conftest import ROOT
from tests.layers.contract import numpy

SIZES = {"num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16, "max_sequence_length": 16}


@given(depth=st.integers(1, 9), extra=st.integers(0, 30))
def test_blocks_keep_their_order_and_the_last_stays_last(depth, extra):
    sources = sources_of(depth, depth + extra)
    assert sources[:depth] == list(range(depth)) and len(sources) == depth + extra
    assert sources[-1] == depth - 1
    following = zip(sources[depth:], sources[depth + 1 :], strict=False)
    assert all(after == (before + 1) % depth for before, after in following)


def test_two_blocks_more():
    assert sources_of(4, 6) == [0, 1, 2, 3, 2, 3]


@pytest.mark.parametrize("placement", ["post", "pre", "bb,wa,an"])
def test_weights_are_those_of_the_block_that_is_repeated(placement):
    config = BertConfig(20, num_layers=3, norm_placement=placement, **SIZES)
    model = build_pretraining_model(config, objective="masked-lm")
    deeper, wider = deepened(model, config, 4)
    assert wider.num_layers == 4
    assert wider.norm_placement == ("bb,wa,an,an" if "," in placement else placement)
    old, new = model_weights(model), model_weights(deeper)
    assert set(old) - set(new) <= {"block_2/output_norm/gamma", "block_2/output_norm/beta"}
    for name, weight in new.items():
        source = name.replace("block_3", "block_2")
        part = name.startswith("block_3/") and ("output_projection" in name or "/output/" in name)
        np.testing.assert_array_equal(
            numpy(weight), numpy(old[source]) * np.float32(0.3 if part else 1)
        )


def test_the_shipped_encoder_guesses_the_same_with_two_blocks_more():
    """Of these words nearly all; with whole copies in the place of small parts fewer."""
    checkpoint = kbert.load(ROOT / "saved_models/kbert-mini-en/checkpoint")
    texts = [
        "The capital of the country is a large [MASK].",
        "She opened the door and went into the [MASK].",
        "He was born in [MASK] and died in 1912.",
        "The film was directed [MASK] a young man.",
        "They sat on the bank of the [MASK].",
    ]
    model, config = deepened(checkpoint.model, checkpoint.config, 6)
    deeper = checkpoint._replace(model=model, config=config)
    before, after = (kbert.fill_mask(each, texts, top=3) for each in (checkpoint, deeper))
    shared = 0
    for [guesses], [others] in zip(before, after, strict=True):
        shared += len({one["token"] for one in guesses} & {one["token"] for one in others})
    assert shared >= 11


def test_what_cannot_be_deepened():
    config = BertConfig(20, num_layers=2, **SIZES)
    with pytest.raises(DataError, match="of 2 layers can go on with 2 or more. Received: 1"):
        deepened(build_encoder(config), config, 1)
    config = BertConfig(20, num_layers=2, architecture="bag", **SIZES)
    with pytest.raises(DataError, match="Received: a model of the architecture bag"):
        deepened(build_encoder(config), config, 3)


def test_a_run_that_goes_deeper(tiny_store, tmp_path, capsys):
    config = BertConfig(60, num_layers=2, **SIZES)
    model, run = build_pretraining_model(config), tmp_path / "run"
    tokenizer = kbert.WordPieceTokenizer(TokenStore(tiny_store).vocabulary)
    save(tmp_path / "start", Checkpoint(model, tokenizer, config))
    command = (
        f"pretrain {tiny_store} --from {tmp_path}/start --num-layers 3 --output {run} "
        "--num-steps 2 --batch-size 2 --sequence-length 16 --warmup-steps 0 --learning-rate 1e-30"
    )
    assert main(command.split()) == 0
    assert json.loads((run / "config.json").read_text())["encoder"]["num_layers"] == 3
    expected, _ = deepened(model, config, 3)
    found = model_weights(load(run).model)
    for name, weight in model_weights(expected).items():
        np.testing.assert_allclose(numpy(found[name]), numpy(weight), rtol=1e-6, atol=1e-20)
    assert main(command.split()) == 0  # As often as one likes: it is the same run.
    assert main(command.replace("layers 3", "layers 4").split()) == 1
    assert "num_layers" in capsys.readouterr().err
