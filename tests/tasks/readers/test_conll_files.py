"""Files of tagged words: every format gives the same sentences; what does not fit is named."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbert.errors import DataError
from kbert.tasks.readers.bad_rows import BadRows
from kbert.tasks.readers.conll_files import Columns, read_sentences
from kbert.tasks.tag_schemes import entities
from tests.tasks.rows import write

WORDS = [("Ann", "Lee", "came", "."), ("Rome", "waits")]
TAGS = [("B-PER", "I-PER", "O", "O"), ("B-LOC", "O")]


def read(path, columns=None, labelled=True, skip=False):
    bad = BadRows(skip)
    return list(read_sentences(path, columns or Columns(), labelled, bad)), bad.messages


@pytest.mark.parametrize(
    ("name", "content", "columns"),
    [
        ("a.conll", "Ann I-PER\nLee I-PER\ncame O\n. O\n\nRome I-LOC\nwaits O\n", None),
        ("a.bio", "Ann\tB-PER\nLee\tI-PER\ncame\tO\n.\tO\n\n\nRome\tB-LOC\nwaits\tO", None),
        ("a.bmes", "\nAnn B-PER\r\nLee E-PER\r\ncame O\r\n. O\r\n \r\nRome S-LOC\r\nwaits O", None),
        (
            "a.txt",
            "1 B-PER NN Ann x\n2 I-PER NN Lee x\n3 O VB came x\n4 O . . x\n\n"
            "1 B-LOC NN Rome x\n2 O VB waits x\n",
            Columns(3, 1),
        ),
        (
            "a.conll",
            "-DOCSTART- -X- O\n\nAnn NN B-PER\nLee NN I-PER\ncame VB O\n. . O\n\n"
            "Rome NN B-LOC\nwaits VB O\n",
            Columns(-3, 2),
        ),
        (
            "a.conllu",
            "# newdoc id = x\n# text = Ann Lee came .\nAnn\tB-PER\nLee\tI-PER\ncame\tO\n.\tO\n\n"
            "# text = a b\nRome\tB-LOC\nwaits\tO\n\n# the end of it\n",
            None,
        ),
        ("a.tsv", "text_a\tlabel\nAnn Lee came .\tB-PER I-PER O O\nRome waits\tB-LOC O\n", None),
        (
            "a.tsv",
            "\ufefflabel\ttext_a\nB-PER E-PER O O\tAnn Lee came .\nS-LOC O\tRome waits",
            None,
        ),
        (
            "a.jsonl",
            '{"tokens": ["Ann", "Lee", "came", "."], "tags": ["B-PER", "I-PER", "O", "O"]}\n'
            '{"tokens": ["Rome", "waits"], "tags": ["U-LOC", "O"]}\n',
            None,
        ),
        (
            "a.json",
            '[{"tokens": ["Ann", "Lee", "came", "."],\n "tags": ["B-PER", "I-PER", "O", "O"]},\n'
            '{"tokens": ["Rome", "waits"], "tags": ["B-LOC", "O"]}]',
            None,
        ),
    ],
)
def test_formats(tmp_path, name, content, columns):
    sentences, _ = read(write(tmp_path, content, name), columns)
    assert [s.words for s in sentences] == WORDS
    assert [s.tags for s in sentences] == TAGS


def test_characters_of_a_text_with_spans(tmp_path):
    objects = [
        {"text": "温格 在曼联", "label": {"name": {"温格": [[0, 1]]}, "team": {"曼联": [[4, 5]]}}},
        {"text": "无事", "label": {}},
    ]
    pretty = "\n".join(json.dumps(value, ensure_ascii=False, indent=2) for value in objects)
    sentences, _ = read(write(tmp_path, pretty, "a.json"))
    assert sentences[0].words == tuple("温格在曼联")
    assert sentences[0].tags == ("B-name", "I-name", "O", "B-team", "I-team")
    assert sentences[0].spans == ((0, 1), (1, 2), (3, 4), (4, 5), (5, 6))
    assert sentences[1].tags == ("O", "O")
    assert sentences[1].where.endswith(
        f"line {pretty.count(chr(10), 0, pretty.rindex('{', 0, pretty.index('无事'))) + 1}"
    )
    lines = "\n".join(json.dumps(value) for value in objects)
    again, _ = read(write(tmp_path, lines, "a.jsonl"))
    assert [s[:2] for s in again] == [s[:2] for s in sentences]


def test_documents_begin_at_their_lines(tmp_path):
    content = "-DOCSTART- O\n\na O\n\nb O\n\n-DOCSTART- O\nc O\n"
    sentences, _ = read(write(tmp_path, content, "a.conll"))
    assert [(s.words, s.document) for s in sentences] == [(("a",), 1), (("b",), 1), (("c",), 2)]


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_document_ends_a_sentence(tmp_path, mark):
    """Without blank lines, too, and behind a byte-order mark."""
    content = f"{mark}-DOCSTART- O\na B-X\n-DOCSTART- O\nb B-X\n"
    sentences, bad = read(write(tmp_path, content, "a.conll"))
    assert [(s.words, s.document) for s in sentences] == [(("a",), 1), (("b",), 2)] and not bad
    sentences, bad = read(write(tmp_path, f"{mark}# a comment\na O\n", "a.conll"))
    assert [s.words for s in sentences] == [("a",)] and not bad


def test_a_header_in_quotation_marks(tmp_path):
    path = write(tmp_path, '"text_a","label"\n"Ann came","B-PER O"\n', "a.csv")
    (sentence,), _ = read(path)
    assert sentence[:2] == (("Ann", "came"), ("B-PER", "O"))


def test_without_labels_the_word_column_is_enough(tmp_path):
    sentences, _ = read(write(tmp_path, "Ann\nLee\n\nRome\n", "a.conll"), labelled=False)
    assert [(s.words, s.tags) for s in sentences] == [(("Ann", "Lee"), None), (("Rome",), None)]
    (sentence,), _ = read(write(tmp_path, "text_a\nAnn Lee\n", "a.tsv"), labelled=False)
    assert sentence.words == ("Ann", "Lee")
    (sentence,), _ = read(write(tmp_path, '{"id": 1, "text": "天 气"}', "a.json"), labelled=False)
    assert sentence.words == ("天", "气")


word = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\n\r "), min_size=1)


def test_a_word_may_be_a_number_sign(tmp_path):
    content = "# O\n1 O\n\n# an id\n# B-PER\n\n# O\n"
    sentences, bad = read(write(tmp_path, content, "a.conll"))
    assert [sentence.words for sentence in sentences] == [("#", "1"), ("#",), ("#",)]
    assert not bad


@given(st.lists(st.lists(word.filter(str.strip), min_size=1, max_size=4), min_size=1, max_size=4))
def test_columns_give_back_what_was_written(tmp_path_factory, sentences):
    sentences = [
        [w for w in words if not w.startswith(("-DOCSTART-", "\ufeff"))] for words in sentences
    ]
    sentences = [words for words in sentences if words] or [["a"]]
    content = "\n\n".join("\n".join(f"{w}\tO" for w in words) for words in sentences)
    found, _ = read(write(tmp_path_factory.mktemp("columns"), content, "a.conll"))
    assert [list(s.words) for s in found] == sentences


@pytest.mark.parametrize(
    ("name", "row", "expected"),
    [
        ("a.conll", "Bo\n", "line 4: expected 2 columns as in the first line, received 1"),
        ("a.conll", "Bo NN O\n", "line 4: expected 2 columns as in the first line, received 3"),
        ("a.conll", "Bo PER\n", "line 4: expected O or a tag like B-PER"),
        ("a.conll", "\tO\n", "line 4: expected a word. It is empty"),
        ("a.conll", b"B\xff O\n", "line 4: expected UTF-8. Received the byte 0xff"),
        ("a.tsv", "Bo went\tO\n", "line 3: expected a tag for each of the 2 words, received 1"),
        ("a.tsv", "Bo\n", "line 3: expected 2 columns as in the first line, received 1"),
        ("a.tsv", "Bo  x\tO O O\n", "line 3: expected words that are not empty"),
        ("a.jsonl", '{"tokens": ["Bo"], "tags": ["O", "O"]}\n', "line 2: .*1 words, received 2"),
        ("a.jsonl", '{"tokens": [], "tags": []}\n', "line 2: expected a list of words"),
        ("a.jsonl", '{"tokens": ["Bo"]}\n', 'line 2: expected the key "tags"'),
        ("a.jsonl", '{"tokens": ["Bo"], "tags": [1]}\n', "line 2: expected a list of tags"),
        ("a.jsonl", '{"words": ["Bo"]}\n', 'line 2: expected {"tokens": \\[...\\], "tags"'),
        ("a.jsonl", "[1]\n", "line 2: expected a JSON object"),
        ("a.jsonl", '{"text": " ", "label": {}}\n', "line 2: expected a text. It is empty"),
        ("a.jsonl", '{"text": "ab"}\n', 'line 2: expected {"type": .* under "label"'),
        (
            "a.jsonl",
            '{"text": "ab", "label": {"X": {"b": [[0, 0]]}}}\n',
            "line 2: expected 'b' at the characters 0 to 0 of the text. Found: 'a'",
        ),
        (
            "a.jsonl",
            '{"text": "ab", "label": {"X": {"bc": [[1, 2]]}}}\n',
            "line 2: expected 'bc' at the characters 1 to 2 of the text. Found: 'no such place'",
        ),
        (
            "a.jsonl",
            '{"text": "ab", "label": {"X": {"ab": [[0, 1]]}, "Y": {"b": [[1, 1]]}}}\n',
            "line 2: expected entities that do not overlap",
        ),
    ],
)
def test_what_does_not_fit_is_named_or_counted(tmp_path, name, row, expected):
    first, last = {
        "a.conll": ("Ann O\nLee O\n\n", "\nRome O\n"),
        "a.tsv": ("text_a\tlabel\nAnn Lee\tO O\n", "Rome\tO\n"),
        "a.jsonl": (
            '{"tokens": ["Ann", "Lee"], "tags": ["O", "O"]}\n',
            '{"tokens": ["Rome"], "tags": ["O"]}\n',
        ),
    }[name]
    row = row if isinstance(row, bytes) else row.encode()
    path = write(tmp_path, first.encode() + row + last.encode(), name)
    with pytest.raises(DataError, match=expected.replace("{", "[{]").replace("}", "[}]")):
        read(path)
    sentences, messages = read(path, skip=True)
    assert [s.words for s in sentences] == [("Ann", "Lee"), ("Rome",)]
    assert len(messages) == 1


@pytest.mark.parametrize(
    ("content", "columns", "expected"),
    [
        ("Ann O\n", Columns(2, 1), "has no column 2: expected a number from 0 to 1"),
        ("Ann O\n", Columns(0, -3), "has no column -3"),
        ("Ann\n", Columns(), "expected a column of words and one of tags. The first line has 1"),
        ("\n\n", Columns(), "expected sentences, found none"),
    ],
)
def test_files_that_cannot_be_meant(tmp_path, content, columns, expected):
    path = write(tmp_path, content, "a.conll")
    for skip in (False, True):
        with pytest.raises(DataError, match=expected):
            read(path, columns, skip=skip)


def test_broken_json_is_named_by_its_line(tmp_path):
    path = write(tmp_path, '{"tokens": ["a"], "tags": ["O"]}\n{"tokens": \n', "a.json")
    with pytest.raises(DataError, match="line 3: expected JSON"):
        read(path)


@pytest.mark.parametrize(
    ("name", "sentences", "words", "skipped"),
    [
        ("ner_misc/wikigold/wikigold.conll.txt", 1696, 39007, 0),
        ("ner_misc/GUM/test_gum-test.conll", 1000, 18236, 0),
        ("ner_misc/re3d/test_re3d-test.conll", 200, 5258, 0),
        ("ner_misc/BTC/h.conll", 1998, 29431, 3),
        ("zh/resume_ner/dev.char.bmes", 463, 13890, 0),
        ("zh/uer_msra_ner/dev.tsv", 2318, 109870, 0),
        ("zh/cluener/dev.json", 1343, 50260, 0),
    ],
)
def test_files_as_they_are_published(shared_data, name, sentences, words, skipped):
    found, messages = read(shared_data(name), skip=True)
    assert (len(found), sum(len(s.words) for s in found)) == (sentences, words)
    assert len(messages) == skipped
    assert sum(len(entities(s.tags)) for s in found) > 500
