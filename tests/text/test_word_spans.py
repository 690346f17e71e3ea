"""Words in a text as it is, and texts of words."""

from hypothesis import given
from hypothesis import strategies as st

from kbert.text.joining import join_words
from kbert.text.words import WordTable, word_spans

text = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cf", "Co"]), max_size=30)


def test_by_hand():
    sentence = "U.S.-born Ann, 北京 2008!"
    words = [sentence[start:end] for start, end in word_spans(sentence)]
    assert words == ["U", ".", "S", ".", "-", "born", "Ann", ",", "北", "京", "2008", "!"]
    letters = [sentence[start:end] for start, end in word_spans(sentence, characters=True)]
    assert letters == list(sentence.replace(" ", ""))


@given(text.filter(lambda text: "\ufffd" not in text))
def test_words_are_berts(text):
    table = WordTable(lowercase=False, strip_accents=False)
    assert [text[start:end] for start, end in word_spans(text)] == text.translate(table).split()


@given(st.lists(text.filter(bool)), st.booleans())
def test_words_stand_where_they_are_said_to(words, spaces):
    joined, spans = join_words(words, spaces)
    assert [joined[start:end] for start, end in spans] == words


def test_no_space_beside_chinese():
    assert join_words(["go", "to", "北", "京", "now"])[0] == "go to北京now"
    assert join_words("2008", spaces=False)[0] == "2008"
