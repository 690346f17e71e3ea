"""Puts pieces back together into text."""

import unicodedata
from collections.abc import Iterable

# English punctuation leans on the word before it or behind it.
_LEANS_LEFT = frozenset(".,!?;:%)]}")
_LEANS_RIGHT = frozenset("([{")


def join_pieces(pieces: Iterable[str]) -> str:
    """["hello", ",", "word", "##piece"] -> "hello, wordpiece"; no space beside Chinese."""
    text = ""
    for piece in pieces:
        if piece.startswith("##") and len(piece) > 2:
            text += piece[2:]
        elif text and _needs_space(text[-1], piece):
            text += " " + piece
        else:
            text += piece
    return text


def _needs_space(last: str, piece: str) -> bool:
    if last in _LEANS_RIGHT or piece in _LEANS_LEFT:
        return False
    return not (_is_written_without_spaces(last) or _is_written_without_spaces(piece[0]))


def _is_written_without_spaces(character: str) -> bool:
    """Chinese characters and full-width punctuation; not Korean, which has spaces between words."""
    wide = unicodedata.east_asian_width(character) in "WF"
    return wide and not unicodedata.name(character, "").startswith("HANGUL")
