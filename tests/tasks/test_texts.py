"""Texts and pairs to rows: what the tokenizer gives, and which were cut."""

import numpy as np
import pytest

from kbert.tasks.texts import tokenize
from kbert.text.tokenizer import WordPieceTokenizer

VOCABULARY = "[PAD] [UNK] [CLS] [SEP] [MASK] a b ##c".split()
TEXTS = ["", "a", "a b", "a bc", "a b a", "a b a b", "abc b a", "b " * 20]


@pytest.mark.parametrize("sequence_length", [5, 6])
@pytest.mark.parametrize("pairs", [False, True])
def test_rows_are_the_tokenizers(sequence_length, pairs):
    tokenizer = WordPieceTokenizer(VOCABULARY)
    seconds = ["a"] * len(TEXTS) if pairs else None
    rows, cut = tokenize(tokenizer, TEXTS, seconds, sequence_length)
    expected = tokenizer(TEXTS, seconds, sequence_length=sequence_length)
    lengths = np.asarray(expected["padding_mask"]).sum(axis=1)
    for number, row in enumerate(rows):
        for name, values in expected.items():
            assert row[name].tolist() == np.asarray(values)[number, : lengths[number]].tolist()
    whole = np.asarray(tokenizer(TEXTS, seconds)["padding_mask"]).sum(axis=1)
    assert cut.tolist() == (whole > sequence_length).tolist()
    assert 0 < cut.sum() < len(TEXTS)
