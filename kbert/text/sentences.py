"""Splits text into sentences, by line or by English and Chinese punctuation.

One regular expression finds the ends, so the work happens in C. It is deliberately plain: a wrong
split costs BERT's pre-training little, a slow splitter costs every run. What it knows:

- `.` `!` `?` `…` end a sentence if white space follows and then something that may begin one: a
  capital, a digit, a letter of a script without capitals, perhaps behind an opening quote.
- `。` `！` `？` end one anywhere; ASCII `!` and `?` do right before a Chinese character.
- Closing quotes and brackets belong to the sentence that they close.
- Abbreviations (`Mr.`), initials (`J. S. Bach`, `U.S.`), `No. 5` and the number of a list item end
  none. The price: "He lives in the U.S. She does not." stays one sentence.

Nothing but white space is lost: joined again, the sentences hold every other character.
"""

import itertools
import re
import sys
import unicodedata
from collections.abc import Iterator

SENTENCE_RULES = ("punctuation", "wrapped", "line")
# Longer than nearly every sentence; what it bounds is the memory of everything that follows.
MAX_SENTENCE_CHARACTERS = 4096

_CHINESE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_CLOSING = r"\"'”’»)\]}」』）】》〉］｝*_"
_OPENING = r"\"'“‘„«(\[{¿¡「『（【《〈［｛*_—–\-"
_ABBREVIATIONS = (
    "Mr Mrs Ms Dr St Mt Ft Jr Sr vs cf ca al Prof Rev Hon Messrs Mme Mlle Mgr Gen Col Maj Capt Cpt "
    "Lt Sgt Cpl Pvt Adm Gov Sen Rep Pres Supt Esq Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec "
    "Ave Blvd Rd Inc Ltd Co Corp Bros Dept Univ approx viz eg ie cit"
).split()
_BEFORE_NUMBER = "No no Nos nos Vol vol Vols vols Ch ch Fig fig Figs figs Art Sec sec pp".split()


def _sentence_starts() -> str:
    """Characters that may begin a sentence, as the inside of a character class."""
    codes = range(0x10000)
    starts = [code for code in codes if unicodedata.category(chr(code)) in ("Lu", "Lt", "Lo", "Nd")]
    # Beyond the basic plane nearly all letters belong to scripts without capitals.
    ranges = [[0x10000, sys.maxunicode]]
    for code in starts:
        if ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)


def _after(words: list[str]) -> list[str]:
    """Alternatives for "right after `word.`", one a length: a look-behind has a fixed width."""
    lengths = sorted({len(word) for word in words})
    groups = ["|".join(word for word in words if len(word) == length) for length in lengths]
    return [rf"\b(?:{group})\." for group in groups]


def _compile_ends() -> re.Pattern:
    """The pattern whose every match ends where a sentence ends.

    It begins with a plain class, which lets `re` skim the text; repetitions are bounded and
    possessive, so that a megabyte of exclamation marks takes linear time.
    """
    never = [r"\b[^\W\d_I]\.", r"^\d\.", r"^\d\d\.", *_after(_ABBREVIATIONS)]
    guard = "".join(f"(?<!{pattern})" for pattern in never)
    numbered = "|".join(f"(?<={pattern})" for pattern in _after(_BEFORE_NUMBER))
    closing = f"[{_CLOSING}]{{0,4}}+"
    anywhere = rf"(?<=[。！？｡])[。！？…!?]{{0,8}}+{closing}(?![，、；：])"
    spaced = rf"[.!?…]{{0,8}}+{closing}(?=\s+[{_OPENING}]{{0,4}}+[{_sentence_starts()}])"
    glued = rf"(?<=[!?])[!?]{{0,8}}+{closing}(?=[{_CHINESE}])"
    return re.compile(
        rf"[.!?…。！？｡।॥؟۔](?:{anywhere}|{guard}(?!(?:{numbered})\s+\d){spaced}|{glued})"
    )


_ENDS = _compile_ends()


def split_sentences(text: str, rule: str = "punctuation") -> list[str]:
    """The sentences of a text, without the white space around them; none is empty.

    Args:
        text: any text; a line break ends a sentence, but for "wrapped".
        rule: "punctuation" splits each line further, "line" takes a line as a sentence; "wrapped"
            splits as punctuation says what stands between blank lines, in which lines end where
            their width does.

    A sentence longer than MAX_SENTENCE_CHARACTERS is cut, at white space where there is some.
    """
    sentences = []
    for line in _paragraphs(text) if rule == "wrapped" else text.splitlines():
        begin = 0
        if rule != "line":
            for match in _ENDS.finditer(line):
                end = match.end()
                sentences.append(line[begin:end].strip())
                begin = end
        rest = line[begin:].strip()
        if rest:
            sentences.append(rest)
    if any(len(sentence) > MAX_SENTENCE_CHARACTERS for sentence in sentences):
        return [part for sentence in sentences for part in cut_long(sentence)]
    return sentences


def _paragraphs(text: str) -> list[str]:
    """What stands between blank lines, each in one line."""
    lines = [line.strip() for line in text.splitlines()]
    return [" ".join(part) for filled, part in itertools.groupby(lines, bool) if filled]


def cut_long(text: str, limit: int = MAX_SENTENCE_CHARACTERS) -> Iterator[str]:
    """Parts of at most `limit` characters, cut at white space if the second half has some.

    White space around the parts is dropped, and so is a part of nothing else.
    """
    begin = 0
    while len(text) - begin > limit:
        end = begin + limit
        spaces = [text.rfind(space, begin + limit // 2, end) for space in "\n "]
        if max(spaces) > 0:
            end = (spaces[0] if spaces[0] > 0 else spaces[1]) + 1
        if part := text[begin:end].strip():
            yield part
        begin = end
    if part := text[begin:].strip():
        yield part
