import pytest

from kbert.text.joining import join_pieces


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
