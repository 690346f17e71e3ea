"""Puts pieces back together into text."""

import unicodedata
from collections.abc import Iterable, Sequence

# English punctuation leans on the word before it or behind it.
_LEANS_LEFT = frozenset(".,!?;:%)]}")
_LEANS_RIGHT = frozenset("([{")


def join_pieces(pieces: Iterable[str], text: str = "") -> str:
    """["hello", ",", "word", "##piece"] -> "hello, wordpiece"; no space beside Chinese.

    `text` is what they go on behind.
    """
    for piece in pieces:
        if piece.startswith("##") and len(piece) > 2:
            text += piece[2:]
        elif text and _needs_space(text[-1], piece):
            text += " " + piece
        else:
            text += piece
    return text


def join_words(words: Sequence[str], spaces: bool = True) -> tuple[str, list[tuple[int, int]]]:
    """A text of these words, and where each stands in it: (start, end).

    Args:
        spaces: put one space between words, but none beside Chinese.
    """
    text, spans = "", []
    for word in words:
        if (
            spaces
            and text
            and word
            and not any(map(_is_written_without_spaces, (text[-1], word[0])))
        ):
            text += " "
        spans.append((len(text), len(text) + len(word)))
        text += word
    return text, spans


def _needs_space(last: str, piece: str) -> bool:
    if last in _LEANS_RIGHT or piece in _LEANS_LEFT:
        return False
    return not (_is_written_without_spaces(last) or _is_written_without_spaces(piece[0]))


def _is_written_without_spaces(character: str) -> bool:
    """Chinese characters and full-width punctuation; not Korean, which has spaces between words."""
    wide = unicodedata.east_asian_width(character) in "WF"
    return wide and not unicodedata.name(character, "").startswith("HANGUL")
