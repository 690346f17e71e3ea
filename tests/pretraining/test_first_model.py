"""What a run begins with: a new model of a size, or a trained one, in an objective's direction."""

import pytest

from kbert import Checkpoint, WordPieceTokenizer, build_pretraining_model, save
from kbert.config import BertConfig
from kbert.corpus.store import TokenStore
from kbert.errors import DataError
from kbert.model_settings import NewModel
from kbert.pretraining.first_model import first_model
from tests.tiny_checkpoint import write_checkpoint


@pytest.fixture(scope="module")
def store(tiny_store):
    return TokenStore(tiny_store)


def test_a_new_model(store):
    config, start = first_model(store, NewModel(preset="tiny", dropout=0.2))
    assert start is None
    sizes = (config.vocabulary_size, config.num_layers, config.dropout, config.attention_dropout)
    assert sizes == (60, 2, 0.2, 0.2) and config.direction == "both"
    config, _ = first_model(store, NewModel(preset="tiny"), direction="left")
    assert config.direction == "left"
    config, _ = first_model(store, NewModel(preset="mini", num_layers=3))
    assert (config.num_layers, config.hidden_dim) == (3, 256)


def test_a_trained_model_in_another_direction(store, tmp_path, capsys):
    """Its weights, its sizes; dropout and direction as asked for."""
    sizes = {"num_layers": 1, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16}
    own = BertConfig(60, **sizes, max_sequence_length=16)
    model = build_pretraining_model(own, objective="masked-lm")
    save(tmp_path, Checkpoint(model, WordPieceTokenizer(store.vocabulary), own))
    config, start = first_model(store, NewModel(dropout=0.0), tmp_path, "left")
    assert config == BertConfig(
        60, **sizes, max_sequence_length=16, dropout=0.0, attention_dropout=0.0, direction="left"
    )
    assert set(start.output) == {"masked_lm"}
    assert "has learned with the direction both; from now on it is left" in capsys.readouterr().out
    assert first_model(store, NewModel(dropout=0.0), tmp_path)[0].direction == "both"
    assert capsys.readouterr().out == ""
    write_checkpoint(tmp_path / "other")
    with pytest.raises(DataError, match="must have the same vocabulary"):
        first_model(store, NewModel(), tmp_path / "other")
    cased = WordPieceTokenizer(store.vocabulary, lowercase=not store.tokenizer_options["lowercase"])
    save(tmp_path / "cased", Checkpoint(model, cased, own))
    with pytest.raises(DataError, match="cased must read text as that of .* was read"):
        first_model(store, NewModel(), tmp_path / "cased")


def test_a_masked_lm_on_a_model_that_sees_to_the_left(store, tmp_path, capsys):
    sizes = {"num_layers": 1, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16}
    own = BertConfig(60, **sizes, max_sequence_length=16, direction="left")
    model = build_pretraining_model(own, objective="left-to-right")
    save(tmp_path, Checkpoint(model, WordPieceTokenizer(store.vocabulary), own))
    assert first_model(store, NewModel(), tmp_path)[0].direction == "left"
    assert "sees to the left only, and so will this model" in capsys.readouterr().out
    first_model(store, NewModel(), tmp_path, "left")
    assert capsys.readouterr().out == ""
