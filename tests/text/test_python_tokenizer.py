"""The tokenizer in Python against that in TensorFlow: ids, offsets, pairs, special tokens."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kbert.text.python_tokenizer import PythonTokenizer
from kbert.text.tokenizer import WordPieceTokenizer
from kbert.text.vocabulary import SPECIAL_TOKENS
from tests.text.test_tokenizer_reference import (
    OPTIONS,
    TRAPS,
    character_vocabulary,
    is_old,
    odd_strings,
)

# Half of a pair, a noncharacter that stands for [MASK] in TensorFlow's graph, accents in an order
# that is not Unicode's, words at the limit of length.
MORE = ["\ud800a", "a\ufdd4b", "a\u0315\u0300b", "q\u302e\u0323", "a" * 100, "b" * 101, "", " "]
MORE += ["[MASK]", "a[MASK]b [SEP]", "[mask]", "[CLS][UNK][PAD]x", "the " * 3, "\U0001d15e"]
TEXTS = [*TRAPS, *MORE, *odd_strings(600, seed=3)]


@pytest.fixture(scope="module", params=OPTIONS, ids=str)
def both(request):
    pieces = list(dict.fromkeys(character_vocabulary()))
    # Longer pieces, so that the longest match is not always one character.
    letters = "abcthe我の"
    pieces += [
        f"{prefix}{a}{b}" for prefix, a, b in itertools.product(("", "##"), letters, letters)
    ]
    return PythonTokenizer(pieces, **request.param), WordPieceTokenizer(pieces, **request.param)


@pytest.mark.parametrize("special_tokens", [False, True])
def test_ids_and_offsets(both, special_tokens):
    ours, theirs = (tokenizer.tokenize(TEXTS, special_tokens).to_list() for tokenizer in both)
    assert ours == theirs
    ours, theirs = (tokenizer.tokenize_with_offsets(TEXTS, special_tokens) for tokenizer in both)
    for text, one, other in zip(TEXTS, ours, theirs, strict=True):
        for name in one._fields:
            found, expected = getattr(one, name), getattr(other, name)
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found, expected, err_msg=f"{text!a} {name}")


def test_an_added_token_may_have_a_space():
    pieces = [*SPECIAL_TOKENS, "in", "new", "york", "New York"]
    both = [
        kind(pieces, added_tokens=("New York",)) for kind in (PythonTokenizer, WordPieceTokenizer)
    ]
    for tokenizer in both:
        assert tokenizer.tokenize(["in New York new york"]).to_list() == [[5, 8, 6, 7]]


def test_one_text_is_no_list_of_texts(both):
    for tokenizer in both:
        for read in (tokenizer.tokenize, tokenizer.tokenize_with_offsets):
            with pytest.raises(
                ValueError, match="Expected a list of texts. Received one text: 'ab'"
            ):
                read("ab")


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.text(st.characters(codec="utf-8").filter(is_old)), min_size=1))
def test_hypothesis_strings(both, texts):
    ours, theirs = (tokenizer.tokenize(texts).to_list() for tokenizer in both)
    assert ours == theirs


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sequence_length": 9},
        {"sequence_length": 40, "padding": "sequence_length"},
        {"sequence_length": 8, "special_tokens": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("pair", [False, True])
def test_inputs_of_a_model(both, pair, options):
    texts, seconds = TEXTS[:300], TEXTS[300:600] if pair else None
    ours, theirs = (tokenizer(texts, seconds, **options) for tokenizer in both)
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        expected = theirs[name].numpy()
        assert array.dtype == expected.dtype
        np.testing.assert_array_equal(array, expected)
    for none in ([], [""]):
        ours, theirs = (tokenizer(none, none if pair else None, **options) for tokenizer in both)
        assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}


def test_one_text_is_a_batch_of_one_and_reads_back(both):
    ours, theirs = both
    np.testing.assert_array_equal(ours("the 我")["token_ids"], theirs("the 我")["token_ids"])
    assert ours.detokenize(ours.tokenize(["the ab 我"])) == theirs.detokenize(
        theirs.tokenize(["the ab 我"])
    )


def test_wrong_arguments(both):
    for options in ({"padding": "left"}, {"padding": "sequence_length"}, {"sequence_length": 1}):
        for tokenizer in both:
            with pytest.raises(ValueError):
                tokenizer(["a"], **options)
