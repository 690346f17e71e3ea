"""The tokenizer by itself: small vocabulary, results that a reader can check by hand."""

import numpy as np
import pytest
import tensorflow as tf

from kbert.errors import DataError
from kbert.text.segments import pack_segments
from kbert.text.tokenizer import WordPieceTokenizer
from kbert.text.vocabulary import SPECIAL_TOKENS

WORDS = "the un ##aff ##able want ##ed runn ##ing mask elan café a b ##b c σ ##σ ς"
PIECES = [*SPECIAL_TOKENS, *WORDS.split(), *",.![]我爱北京"]
UNK = "[UNK]"


def tokens_of(tokenizer, text, **kwargs):
    ids = tokenizer.tokenize([text], **kwargs).to_list()[0]
    return " ".join(tokenizer.vocabulary[i] for i in ids)


@pytest.fixture(scope="module")
def tokenizer():
    return WordPieceTokenizer(PIECES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        (" \t\n\r ", ""),
        ("UNaffable, wanted!", "un ##aff ##able , want ##ed !"),
        ("unxable the", "[UNK] the"),
        ("Élan e\u0301lan", "elan elan"),
        ("我爱北京a", "我 爱 北 京 a"),
        ("th\u200be th\x00e th\u00ade", "the the the"),  # format and control characters vanish
        ("the\u00a0the\u3000the\u2028the", "the the the the"),
        ("ΣΣ ΣΣ.", "σ ##σ σ ##σ ."),  # no final sigma: characters are lower-cased one by one
        ("[MASK]", "[ mask ]"),
        ("\ufdd4 the \ue000the", "the the"),  # what stands for [MASK] inside cannot be written
        ("a" + 99 * "b", "a" + 99 * " ##b"),
        ("a" + 100 * "b", UNK),
        ("b " + "σ" * 100 + " b", "b σ" + 99 * " ##σ" + " b"),  # 200 bytes, but 100 characters
        ("b " + "σ" * 101 + " b", "b [UNK] b"),
        ("b" * 101 + " " + "b" * 102, "[UNK] [UNK]"),
    ],
)
def test_tokenize(tokenizer, text, expected):
    assert tokens_of(tokenizer, text) == expected


def test_special_tokens_are_special_only_when_asked(tokenizer):
    text = "the [MASK]want[SEP] [mask] [UNK]"
    expected = "the [MASK] want [SEP] [ mask ] [UNK]"
    assert tokens_of(tokenizer, text, special_tokens=True) == expected
    assert tokens_of(tokenizer, text) == "the [ mask ] want [ [UNK] ] [ mask ] [ [UNK] ]"


@pytest.mark.parametrize(
    ("options", "text", "expected"),
    [
        ({"lowercase": False}, "café Café", "café [UNK]"),
        ({"lowercase": False}, "cafe\u0301", UNK),  # cased text is not normalised
        ({"lowercase": False, "strip_accents": True}, "élan", "elan"),
        ({"strip_accents": False}, "CAFÉ", "café"),
        ({"split_chinese": False}, "我爱 我,a", "[UNK] 我 , a"),
        ({"split_chinese": False}, "我\u00a0a" + 100 * "b", "我 [UNK]"),
    ],
)
def test_options(options, text, expected):
    tokenizer = WordPieceTokenizer(PIECES, **options)
    assert tokens_of(tokenizer, text) == expected
    assert tokens_of(WordPieceTokenizer(PIECES, **tokenizer.options), text) == expected


def test_invalid_utf8_is_left_out(tokenizer):
    broken = tf.constant([b"th\xffe", b"the \xe4\xb8", b"\xed\xa0\x80the", b"\xf4\x90\x80\x80the"])
    assert tokenizer.tokenize(broken).to_list() == [[PIECES.index("the")]] * 4
    assert tokens_of(tokenizer, "th\ud83de") == "the"


def test_call_pads_to_the_longest(tokenizer):
    batch = tokenizer(["the want", "a"])
    the, want, a = (PIECES.index(piece) for piece in ("the", "want", "a"))
    assert batch["token_ids"].numpy().tolist() == [[2, the, want, 3], [2, a, 3, 0]]
    assert batch["segment_ids"].numpy().tolist() == [[0] * 4] * 2
    assert batch["padding_mask"].numpy().tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert {tensor.dtype for tensor in batch.values()} == {tf.int32}


@pytest.mark.parametrize("sequence_length", range(3, 14))
def test_pairs_are_packed_as_pack_segments_does(tokenizer, sequence_length):
    firsts = ["a " * n for n in (0, 1, 5, 9, 4, 4)]
    seconds = ["b " * n for n in (0, 7, 5, 2, 0, 5)]
    batch = tokenizer(firsts, seconds, sequence_length, padding="sequence_length")
    a, b = PIECES.index("a"), PIECES.index("b")
    for row, (first, second) in enumerate(zip(firsts, seconds, strict=True)):
        ids = [a] * (len(first) // 2), [b] * (len(second) // 2)
        token_ids, segment_ids = pack_segments(*ids, sequence_length, 2, 3)
        padding = [0] * (sequence_length - len(token_ids))
        assert batch["token_ids"][row].numpy().tolist() == [*token_ids, *padding]
        assert batch["segment_ids"][row].numpy().tolist() == [*segment_ids, *padding]
        assert batch["padding_mask"][row].numpy().sum() == len(token_ids)


def test_single_texts_are_cut(tokenizer):
    assert tokenizer(["a b c"], sequence_length=4)["token_ids"].numpy().tolist() == [
        [2, PIECES.index("a"), PIECES.index("b"), 3]
    ]


def test_empty_batch_and_empty_text(tokenizer):
    # As wide as the special tokens, so that no model meets a sequence without tokens.
    assert tokenizer([])["token_ids"].shape == (0, 2)
    assert tokenizer([], [])["padding_mask"].shape == (0, 3)
    assert tokenizer([], sequence_length=8, padding="sequence_length")["token_ids"].shape == (0, 8)
    assert tokenizer([""])["token_ids"].numpy().tolist() == [[2, 3]]


@pytest.mark.parametrize(
    "kwargs",
    [
        {"texts": ["a"], "padding": "max"},
        {"texts": ["a"], "padding": "sequence_length"},
        {"texts": ["a"], "sequence_length": 1},
        {"texts": ["a"], "seconds": ["a"], "sequence_length": 2},
    ],
)
def test_wrong_arguments(tokenizer, kwargs):
    with pytest.raises(ValueError, match="Received|needs"):
        tokenizer(**kwargs)


def test_one_text_is_a_batch_of_one(tokenizer):
    for args in (("the film",), ("the film", "was good")):
        alone, batch = tokenizer(*args), tokenizer(*[[text] for text in args])
        for name, values in batch.items():
            assert alone[name].numpy().tolist() == values.numpy().tolist()


def test_special_ids():
    shuffled = ["[MASK]", "the", "[SEP]", "[UNK]", "[CLS]", "[PAD]"]
    tokenizer = WordPieceTokenizer(shuffled)
    ids = (tokenizer.pad_id, tokenizer.unk_id, tokenizer.cls_id, tokenizer.sep_id)
    assert (*ids, tokenizer.mask_id) == tokenizer.special_ids == (5, 3, 4, 2, 0)
    assert tokenizer.vocabulary == shuffled
    assert tokenizer.vocabulary_size == 6
    assert tokenizer(["the x [MASK]"], special_tokens=True)["token_ids"].numpy().tolist() == [
        [4, 1, 3, 0, 2]
    ]


def test_a_space_in_the_vocabulary_is_never_found():
    tokenizer = WordPieceTokenizer([*PIECES, "\u2028", "##\u2028", "a\u00a0a"])
    assert tokens_of(tokenizer, "a\u2028a\u00a0a \u2028") == "a a a"


def test_vocabulary_must_have_the_special_tokens():
    with pytest.raises(DataError, match=r"\[CLS\] missing"):
        WordPieceTokenizer(["[PAD]", "[UNK]", "[SEP]", "[MASK]", "a"])


def test_runs_in_an_exported_graph(tokenizer, tmp_path):
    module = tf.Module()
    module.tokenizer = tokenizer

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)] * 2)
    def encode(texts, seconds):
        return tokenizer(texts, seconds, sequence_length=9, special_tokens=True)

    tf.saved_model.save(module, str(tmp_path), signatures=encode)
    loaded = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    texts = ["Élan [MASK] 我", "a" + 100 * "b", "", "the " * 20]
    seconds = ["want", "", "x", "a b c"]
    expected = tokenizer(texts, seconds, sequence_length=9, special_tokens=True)
    actual = loaded(texts=tf.constant(texts), seconds=tf.constant(seconds))
    for name, tensor in expected.items():
        np.testing.assert_array_equal(actual[name], tensor)


def test_detokenize(tokenizer):
    encoded = tokenizer(["Unaffable, wanted!", "我爱北京. a"])["token_ids"]
    expected = ["unaffable, wanted!", "我爱北京. a"]
    assert tokenizer.detokenize(encoded) == expected
    assert tokenizer.detokenize(encoded.numpy().tolist()) == expected
    assert tokenizer.detokenize([[PIECES.index("the"), 4, 1]]) == ["the [MASK] [UNK]"]
