"""Characters in a graph, against Python's own: words, substrings, accents."""

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from kbert.serving.graph.characters import Characters, Spans
from kbert.tasks.windows.question_windows import cut_answer
from kbert.text.words import word_spans

TEXTS = [
    "",
    "Ann Lee, in  Rome.",
    " \t今天x天气很好!。\u3000",
    "a\u2028b\u00a0c\u200bd\x1ce",
    "e\u0301\u0302 \u0301 ¿qué?",
    "😀a 𠀀b ₤$+",
]


@pytest.mark.parametrize("characters", [False, True])
@settings(max_examples=15)
@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20)))
def test_words(characters, texts):
    texts = [*TEXTS, *texts]
    found = Characters(tf.constant(texts))
    words = found.words(characters)
    expected = [(n, *span) for n, text in enumerate(texts) for span in word_spans(text, characters)]
    assert list(zip(*(column.numpy().tolist() for column in words), strict=True)) == expected
    strings = [texts[number][start:end].encode() for number, start, end in expected]
    assert found.substrings(words).numpy().tolist() == strings


def test_accents_behind_a_span_belong_to_it():
    found = Characters(tf.constant(TEXTS))
    places = [(n, 0, end) for n, text in enumerate(TEXTS) for end in range(len(text) + 1)]
    columns = [tf.constant(column) for column in zip(*places, strict=True)]
    ends = found.with_accents(Spans(*columns)).end.numpy().tolist()
    assert ends == [cut_answer(TEXTS[number], 0, end)[1] for number, _, end in places]
    assert ends != [end for _, _, end in places]


def test_bytes_that_are_no_characters_stay_what_they_are():
    found = Characters(tf.constant([b"a\xff\xfe b\xed\xa0\x80"]))
    words = found.words(False)
    assert [column.numpy().tolist() for column in words] == [[0, 0], [0, 4], [3, 8]]
    assert found.substrings(words).numpy().tolist() == [b"a\xff\xfe", b"b\xed\xa0\x80"]


def test_no_texts():
    found = Characters(tf.zeros([0], tf.string))
    words = found.words(False)
    assert [column.shape for column in found.with_accents(words)] == [(0,)] * 3
    assert found.substrings(words).shape == (0,)
