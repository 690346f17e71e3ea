"""Sentences: the right ends in English and Chinese, and nothing but white space is lost."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kbert.text.sentences import (
    MAX_SENTENCE_CHARACTERS,
    SENTENCE_RULES,
    cut_long,
    split_sentences,
)

# One sentence on each line; joined by a space they must be found again.
ENGLISH = """\
Mr. Smith met Mrs. J. R. Jones at 3.15 p.m. on Jan. 5 in St. Louis.
It cost $3.50!
"Who is there?" he asked.
"Nobody." Then she left...
He said (quietly.)
So do I.
See No. 5 and Fig. 2, p. 12, vol. 3 of 1999.
2000 was better.
What?!
Élan is a word.
‘Yes.’
*Stars* end it too.
"""
CHINESE = """\
他说：“你好吗？”
她没有回答。
真的!
为什么？！
圆周率是3.14，不是3。
「好。」，他答道。
省略……也不断开。
"""


def lines(text):
    return text.splitlines()


def without_space(text):
    return "".join(text.split())


def test_english_sentences():
    expected = [
        part for line in lines(ENGLISH) for part in (line.split("|") if "|" in line else [line])
    ]
    expected[3:4] = ['"Nobody."', "Then she left..."]
    assert split_sentences(ENGLISH.replace("\n", " ")) == expected


def test_chinese_sentences_need_no_space_between_them():
    assert split_sentences(CHINESE.replace("\n", "")) == lines(CHINESE)


def test_other_scripts():
    assert split_sentences("Да. Нет! यह है। वह था। هل؟ نعم.") == [
        "Да.",
        "Нет!",
        "यह है।",
        "वह था।",
        "هل؟",
        "نعم.",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "1. Introduction",
        "12. Results",
        "e.g. This",
        "the U.S. Army",
        "version 2. 5 of them".split()[0],
    ],
)
def test_one_sentence_stays_one(text):
    assert split_sentences(text) == [text]


def test_a_line_break_always_ends_a_sentence():
    assert split_sentences("a title\nand text\r\n\r\n  more \n") == ["a title", "and text", "more"]


def test_rule_line_keeps_lines_whole():
    assert split_sentences("One. Two.\nThree. 四。五。", "line") == ["One. Two.", "Three. 四。五。"]


def test_rule_wrapped_reads_over_the_ends_of_lines():
    """As books in plain text have them: a paragraph ends at a blank line, a line at its width."""
    text = "A title\r\n\r\nIt was late\r\n  that night. Mr.\r\nHolmes\r\nslept.\n \nMore\n"
    expected = ["A title", "It was late that night.", "Mr. Holmes slept.", "More"]
    assert split_sentences(text, "wrapped") == expected
    assert len(split_sentences(text)) == 7
    paragraphs = "One. Two.\n\nThree! Four"
    assert split_sentences(paragraphs, "wrapped") == split_sentences(paragraphs)


@pytest.mark.parametrize("text", ["", " \n\t\u3000\n", "\n\n"])
def test_no_text_has_no_sentence(text):
    assert split_sentences(text) == []


@settings(deadline=None)
@given(
    st.text(
        alphabet=st.one_of(
            st.sampled_from("aZ1. .!?…\"'()。！？”」，\n\r\t-*中文é"),
            st.characters(exclude_categories=["Cs"]),
        )
    )
)
def test_nothing_but_white_space_is_lost(text):
    for rule in SENTENCE_RULES:
        sentences = split_sentences(text, rule)
        assert without_space("".join(sentences)) == without_space(text)
        assert all(sentence and sentence == sentence.strip() for sentence in sentences)


@settings(deadline=None)
@given(st.text(alphabet="ab \n", max_size=200), st.integers(1, 20))
def test_cutting_loses_nothing_and_keeps_the_limit(text, limit):
    parts = list(cut_long(text, limit))
    assert without_space("".join(parts)) == without_space(text)
    assert all(0 < len(part) <= limit for part in parts)


def test_cutting_prefers_the_end_of_a_word():
    text = "word " * 2000
    assert all(
        part.split() == ["word"] * len(part.split()) for part in cut_long(text.strip(), 4096)
    )


@pytest.mark.parametrize(
    "text",
    [
        "a" * 2_000_000,
        "!" * 400_000,
        ". " * 200_000,
        '!"' * 200_000,
        "。" * 400_000,
        "A. " * 10**5,
    ],
    ids=["letters", "marks", "stops", "quotes", "chinese stops", "initials"],
)
def test_a_huge_line_is_cut_in_linear_time(text):
    started = time.process_time()
    sentences = split_sentences(text)
    assert time.process_time() - started < 5
    assert max(map(len, sentences)) <= MAX_SENTENCE_CHARACTERS
    assert without_space("".join(sentences)) == without_space(text)
