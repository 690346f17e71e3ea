"""Texts of pieces, and texts of words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbert.text.joining import join_pieces, join_words

word = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cf", "Co"]), min_size=1, max_size=30)


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        ("", ""),
        ("hello , word ##piece !", "hello, wordpiece!"),
        ("a ( b ) c", "a (b) c"),
        ("我 爱 bert ， 你 呢 ？", "我爱bert，你呢？"),
        ("한국 ##어 는", "한국어 는"),
        ("日 本 の ##こと", "日本のこと"),
        ("# ##", "# ##"),
    ],
)
def test_join_pieces(pieces, text):
    assert join_pieces(pieces.split()) == text


@given(st.lists(word), st.booleans())
def test_words_stand_where_they_are_said_to(words, spaces):
    joined, spans = join_words(words, spaces)
    assert [joined[start:end] for start, end in spans] == words


def test_no_space_beside_chinese():
    assert join_words(["go", "to", "北", "京", "now"])[0] == "go to北京now"
    assert join_words("2008", spaces=False)[0] == "2008"
