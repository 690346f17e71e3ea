"""Vocabularies with fewer pieces than the model has rows."""

import pathlib

import pytest

from kbert import BertConfig
from kbert.checkpoints.published_vocabulary import fitted
from kbert.errors import DataError

UNCASED = [f"w{number}" for number in range(30522)]


def test_as_many_pieces_as_rows():
    assert fitted(pathlib.Path("vocab.txt"), UNCASED, BertConfig(30522)) is UNCASED


@pytest.mark.parametrize("rows", [30528, 30592])
def test_rows_rounded_up(rows):
    with pytest.warns(UserWarning, match=f"vocab.txt has 30522 pieces and the model {rows}"):
        pieces = fitted(pathlib.Path("vocab.txt"), UNCASED, BertConfig(rows))
    assert len(set(pieces)) == rows and pieces[:30522] == UNCASED
    assert pieces[30522:30524] == ["[unused30522]", "[unused30523]"]


def test_names_that_are_taken():
    pieces = [*UNCASED[:29], "[unused30]"]
    with pytest.warns(UserWarning, match="named .unused31. and so on"):
        found = fitted(pathlib.Path("vocab.txt"), pieces, BertConfig(32))
    assert found[30:] == ["[unused31]", "[unused32]"]


def test_a_published_vocabulary_with_lines_missing():
    with pytest.raises(DataError, match="must have the 21128 pieces of the model. Received: 21121"):
        fitted(pathlib.Path("vocab.txt"), UNCASED[:21121], BertConfig(21128))


@pytest.mark.parametrize("rows", [30520, 30523, 30536, 30720])
def test_rows_of_another_vocabulary(rows):
    with pytest.raises(DataError, match=f"must have the {rows} pieces of the model"):
        fitted(pathlib.Path("vocab.txt"), UNCASED, BertConfig(rows))
