"""Splits text into BERT's words and counts them, without TensorFlow.

The rules are Google's BasicTokenizer, as `tokenizer.WordPieceTokenizer` has them in TensorFlow; a
test holds the two together. Here they are one table from characters to strings, with spaces around
whatever is a word by itself, so that Python's own loops in C do the work.
"""

import unicodedata

# Longer words are [UNK] whatever the vocabulary.
MAX_CHARACTERS_PER_WORD = 100

# Chinese characters: the blocks of Google's `_is_chinese_char`.
_CHINESE_RANGES = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


def strips_accents(lowercase: bool, strip_accents: bool | None) -> bool:
    """Whether accents are dropped: as told, else where text is lower-cased, as BERT does."""
    return lowercase if strip_accents is None else strip_accents


class WordTable(dict):
    """A table for `str.translate`: code point -> normalised character, " " around single words.

    Args:
        lowercase, strip_accents, split_chinese: as WordPieceTokenizer's.
    """

    def __init__(
        self, lowercase: bool = True, strip_accents: bool | None = None, split_chinese: bool = True
    ):
        super().__init__()
        self.lowercase = lowercase
        self.strip_accents = strips_accents(lowercase, strip_accents)
        self.split_chinese = split_chinese

    def __missing__(self, code_point: int) -> str:
        character = chr(code_point)
        if self.strip_accents:
            character = unicodedata.normalize("NFD", character)
        result = "".join(map(self._normalize, character))
        self[code_point] = result
        return result

    def _normalize(self, character: str) -> str:
        category = unicodedata.category(character)
        if character in "\t\n\r" or category[0] == "Z":
            return " "
        if category in ("Cc", "Cf", "Co", "Cs") or character == "\ufffd":
            return ""
        if category == "Mn" and self.strip_accents:
            return ""
        if _is_punctuation(character) or (self.split_chinese and _is_chinese(character)):
            return f" {character} "
        return character.lower() if self.lowercase else character


def word_spans(text: str, characters: bool = False) -> list[tuple[int, int]]:
    """Where BERT's words stand in a text as it is: word i is `text[start:end]` of pair i.

    Args:
        characters: make every character but white space a word.
    """
    spans, start = [], None
    for place, character in enumerate(f"{text} "):
        space = character.isspace()
        alone = characters or is_word(character)
        if start is not None and (space or alone):
            spans.append((start, place))
            start = None
        if alone and not space:
            spans.append((place, place + 1))
        elif not space and start is None:
            start = place
    return spans


def is_word(character: str) -> bool:
    """Whether a character is a word by itself, whatever stands beside it."""
    return _is_punctuation(character) or _is_chinese(character)


def _is_punctuation(character: str) -> bool:
    """Unicode's punctuation, and all ASCII that is no letter, digit or space ("$", "+", "`")."""
    if character.isascii():
        return character.isprintable() and not character.isalnum() and character != " "
    return unicodedata.category(character)[0] == "P"


def _is_chinese(character: str) -> bool:
    return any(first <= ord(character) <= last for first, last in _CHINESE_RANGES)
