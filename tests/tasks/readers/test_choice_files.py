"""Files of multiple choice: every format gives the same examples; what does not fit is named."""

import json

import pytest

from kbert.errors import DataError
from kbert.tasks.readers.bad_rows import BadRows
from kbert.tasks.readers.choice_files import read_choices
from tests.tasks.rows import write

SWAG = ",video-id,fold-ind,startphrase,sent1,sent2,gold-source,ending0,ending1,ending2,label"
C3 = [
    [
        ["女：走吗？", "男：走。"],
        [
            {"question": "走吗？", "choice": ["走", "不走"], "answer": "走"},
            {"question": "谁走？", "choice": ["男的", "女的", "都走"], "answer": "都走"},
        ],
        "1-1",
    ]
]
RACE = {
    "article": "It rained.",
    "questions": ["What fell?", "It _ ."],
    "options": [["rain", "snow"], ["snowed", "rained", "shone"]],
    "answers": ["A", "B"],
    "id": "high1.txt",
}


def read(path, labelled=True, skip=False):
    bad = BadRows(skip)
    return list(read_choices(path, labelled, bad)), bad.messages


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        (
            "val.csv",
            f'{SWAG}\n0,v,1,x,"It rained, then",it,gold,stopped.,"sang, too.",ran.,2\n',
            [("It rained, then", "it", ("stopped.", "sang, too.", "ran."), 2)],
        ),
        (
            "quoted.csv",
            '"sent1","sent2","ending0","ending1","label"\n"a","b","c","d","1"\n',
            [("a", "b", ("c", "d"), 1)],
        ),
        (
            "dev.tsv",
            "o\tShe says\tyes.\tno.\tbanana.\t1\ni\tHe\truns.\tflies.\tsinks.\t0\n",
            [
                ("She says", None, ("yes.", "no.", "banana."), 1),
                ("He", None, ("runs.", "flies.", "sinks."), 0),
            ],
        ),
        (
            "a.jsonl",
            '{"context": "a", "question": "b", "choices": ["c", "d"], "label": 1}\n'
            '{"context": "a", "choices": ["c", "d", "e"], "label": "e"}\n',
            [("a", "b", ("c", "d"), 1), ("a", None, ("c", "d", "e"), 2)],
        ),
        (
            "a.json",
            '{"sent1": "a", "sent2": "b", "ending0": "c",\n"ending1": "d", "label": 0}',
            [("a", "b", ("c", "d"), 0)],
        ),
        (
            "c3.json",
            json.dumps(C3, ensure_ascii=False),
            [
                ("女：走吗？\n男：走。", "走吗？", ("走", "不走"), 0),
                ("女：走吗？\n男：走。", "谁走？", ("男的", "女的", "都走"), 2),
            ],
        ),
        (
            "high1.txt",
            json.dumps(RACE),
            [
                ("It rained.", "What fell?", ("rain", "snow"), 0),
                ("It rained.", "It _ .", ("snowed", "rained", "shone"), 1),
            ],
        ),
    ],
)
def test_formats(tmp_path, name, content, expected):
    path = write(tmp_path, content, name)
    examples, _ = read(path)
    assert [example[:4] for example in examples] == expected
    unlabelled, _ = read(path, labelled=False)
    assert [example[:4] for example in unlabelled] == [(*e[:3], None) for e in expected]
    assert [example[:4] for example in read(tmp_path)[0]] == expected  # the folder


def test_test_files_lack_the_answers(tmp_path):
    content = SWAG.removesuffix(",label") + "\n0,v,1,x,It rained,it,gold,stopped.,sang.,ran.\n"
    (example,), _ = read(write(tmp_path, content, "test.csv"), labelled=False)
    assert example.choices == ("stopped.", "sang.", "ran.")
    questions = [{"question": "走吗？", "choice": ["走", "不走"], "id": 7}]
    path = write(tmp_path, json.dumps([[["走。"], questions]]), "test.json")
    assert read(path, labelled=False)[0][0].question == "走吗？"
    with pytest.raises(
        DataError, match='item 1: expected .lines, .{"question", "choice", "answer"}'
    ):
        read(path)


GOOD = '{"context": "a", "choices": ["b", "c"], "label": 0}'


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (
            '{"context": "a", "choices": ["b", "c"], "label": 2}',
            "label a number from 0 to 1, or one",
        ),
        (
            '{"context": "a", "choices": ["b", "c"], "label": "d"}',
            "or one of the choices. Received: 'd'",
        ),
        ('{"context": "a", "choices": ["b", "b"], "label": "b"}', "or one of the choices"),
        ('{"context": "a", "choices": ["b", "c"], "label": true}', "label a number from 0 to 1"),
        ('{"context": "a", "choices": ["b", "c"]}', "label a number .* Received: None"),
        ('{"context": "a", "choices": ["b"], "label": 0}', "expected two choices at least"),
        ('{"context": "a", "label": 0}', "expected two choices at least"),
        ('{"context": " ", "choices": ["b", "c"], "label": 0}', "expected a text as context"),
        ('{"context": "a", "choices": ["b", ""], "label": 0}', "expected a text as choice 1"),
        ('{"context": "a", "choices": ["b", 5], "label": 0}', "expected a text as choice 1"),
        ('{"article": "a", "questions": ["b"], "options": []}', "expected lists of equal length"),
        ('{"context": "a"', "expected one JSON object a line"),
        ("5", "expected a JSON object"),
    ],
)
def test_what_does_not_fit_is_named_or_counted(tmp_path, row, expected):
    path = write(tmp_path, f"{GOOD}\n{row}\n{GOOD}\n", "a.jsonl")
    with pytest.raises(DataError, match=f"line 2: .*{expected}"):
        read(path)
    examples, messages = read(path, skip=True)
    assert (len(examples), len(messages)) == (2, 1)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.tsv", "o\tShe\tyes.\tno.\t1\no\tHe\tyes.\t1\n", "line 2: expected 5 columns"),
        ("a.tsv", "o\tShe\tyes.\tno.\tx\n", "line 1: expected the number of a choice as label"),
        ("a.tsv", "o\tShe\t1\n", "expected a header with sent1, sent2"),
        ("a.csv", "a,b,c,d,e\n", "expected a header with sent1, sent2"),
        ("a.tsv", b"o\tSh\xff\tyes.\tno.\t1\n", "line 1: expected UTF-8"),
        ("a.json", "[]", "expected rows, found none"),
        ("a.json", "\n" + "[" * 100_000, "line 2: expected JSON: maximum recursion depth"),
        ("a.jsonl", "", "expected rows, found none"),
    ],
)
def test_files_that_do_not_fit(tmp_path, name, content, expected):
    with pytest.raises(DataError, match=expected):
        read(write(tmp_path, content, name))


@pytest.mark.parametrize(
    ("name", "rows", "most"),
    [
        ("codah/fold_0/dev.tsv", 556, 4),
        ("swag_sample/swag_sample.jsonl", 8, 4),
        ("zh/uer_c3/dev.json", 3816, 4),
    ],
)
def test_files_as_they_are_published(shared_data, name, rows, most):
    examples, _ = read(shared_data(name))
    assert len(examples) == rows
    assert max(len(example.choices) for example in examples) == most
    assert all(0 <= example.label < len(example.choices) for example in examples)
