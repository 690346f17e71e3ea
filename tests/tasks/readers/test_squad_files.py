"""Files of questions: both shapes, what is wrong with them, and predictions."""

import json

import pytest

from kbert.errors import DataError
from kbert.tasks.readers.bad_rows import BadRows
from kbert.tasks.readers.squad_files import (
    Answer,
    is_squad2,
    read_null_odds,
    read_predictions,
    read_questions,
)

CONTEXT = "The tower was built in 1889."
RIGHT = {"id": "q1", "question": "When?", "answers": [{"text": "1889", "answer_start": 23}]}


def write(folder, value, name="questions.json"):
    path = folder / name
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def squad(*questions, context=CONTEXT):
    return {"data": [{"title": "x", "paragraphs": [{"context": context, "qas": list(questions)}]}]}


def test_an_empty_file_is_named_beside_a_bad_one(tmp_path, monkeypatch):
    """Whatever was wrong in other files, and however its path is given."""
    monkeypatch.chdir(tmp_path)
    bad = BadRows(skip=True)
    read_questions(write(tmp_path, squad(RIGHT, {"id": "q2"}), "one.json"), bad=bad)
    assert bad.messages
    write(tmp_path, {"data": []}, "two.json")
    with pytest.raises(DataError, match="expected questions, found none"):
        read_questions("two.json", bad=bad)
    write(tmp_path, squad({"id": "q1"}), "three.json")
    with pytest.raises(DataError, match="none of its 1 rows fits"):
        read_questions("./three.json", bad=bad)


def test_a_byte_behind_a_byte_order_mark_is_named(tmp_path):
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf{\n\xff")
    with pytest.raises(DataError, match="line 2: expected UTF-8. Received the byte 0xff"):
        read_questions(tmp_path / "a.json")


def test_squads_shape(tmp_path):
    (question,) = read_questions(write(tmp_path, squad(RIGHT)))
    assert (question.id, question.question, question.context) == ("q1", "When?", CONTEXT)
    assert question.answers == (Answer("1889", 23),)
    assert question.problem is None
    assert not is_squad2([question])
    (unlabelled,) = read_questions(write(tmp_path, squad(RIGHT)), labelled=False)
    assert unlabelled.answers is None


def test_questions_without_an_answer(tmp_path):
    none = {"id": "q2", "question": "Who?", "answers": [], "is_impossible": True}
    questions = read_questions(write(tmp_path, squad(RIGHT, none)))
    assert questions[1].answers == () and questions[1].problem is None
    assert is_squad2(questions)


def test_cmrcs_shape(tmp_path):
    paragraph = {
        "context_text": "塔建于1889年，1889年。",
        "qas": [
            {"query_id": "A", "query_text": "何时？", "answers": ["1889年", 1889, "无"]},
        ],
    }
    (question,) = read_questions(write(tmp_path, [paragraph]))
    assert question.answers == (Answer("1889年", 3), Answer("1889", 3), Answer("无", None))
    assert "'无' does not stand in the context" in question.problem


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"answers": [{"text": "1889", "answer_start": 22}]}, "at 22; the context has ' 188'"),
        ({"answers": [{"text": "1889", "answer_start": -1}]}, "is outside of the context, which"),
        ({"answers": [{"text": "1889", "answer_start": 25}]}, "has 28 characters"),
        ({"answers": [{"text": " ", "answer_start": 3}]}, "expected an answer with characters"),
        ({"question": " "}, "expected a question; it is empty"),
        ({"is_impossible": True}, "is_impossible is true, but the question has an answer"),
        ({"is_impossible": False, "answers": []}, "is false, but the question has no answer"),
    ],
)
def test_answers_that_do_not_fit(tmp_path, changes, expected):
    (question,) = read_questions(write(tmp_path, squad(RIGHT | changes)))
    assert expected in question.problem


def test_an_id_that_comes_again(tmp_path):
    path = write(tmp_path, squad(RIGHT, RIGHT))
    first, second = read_questions(path)
    assert first.problem is None
    assert second.problem == "expected each id once; this comes again"
    # Without labels there is nothing to score: each of them is answered.
    assert all(q.problem is None for q in read_questions(path, labelled=False))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"data": [\n}', "questions.json, line 2: expected JSON"),
        ({"rows": []}, "questions.json: expected the key 'data'. Received: rows"),
        ({"data": {}}, "expected a list under 'data'"),
        ({"data": [3]}, "article 1: expected an object. Received: '3'"),
        ({"data": [{"paragraphs": [3]}]}, "article 1, paragraph 1: expected an object"),
        ([3], "context 1: expected an object. Received: '3'"),
        (["context_text"], "context 1: expected an object"),
        ("[" * 100_000, "questions.json: expected JSON: maximum recursion depth"),
        ({"data": [{"paragraphs": [{"qas": []}]}]}, "article 1, paragraph 1: .* key 'context'"),
        (squad(RIGHT | {"id": True}), "expected a text or a whole number under 'id'. Received: 'T"),
        (squad(RIGHT | {"id": " "}), "expected a text or a whole number under 'id'. Received: ' '"),
        (squad({"question": "When?"}), "question 1: expected the key 'id'"),
        (squad({"id": "q"}), "question q: expected the key 'question'"),
        (squad({"id": "q", "question": "a"}), "question q: expected the key 'answers'"),
        (
            squad(RIGHT | {"answers": ["x", True]}),
            "question q1: expected an object. Received: 'True'",
        ),
        (squad(RIGHT | {"answers": [{"text": "x"}]}), "question q1: .* key 'answer_start'"),
        (
            squad(RIGHT | {"answers": [{"text": "x", "answer_start": "1"}]}),
            "expected a whole number under 'answer_start'",
        ),
        (squad(RIGHT | {"is_impossible": "no"}), "expected true or false as is_impossible"),
        (squad(), "questions.json: expected questions, found none"),
        ([], "expected questions, found none"),
        ([{"context_text": "x", "qas": [{"query_id": "a"}]}], "expected the key 'query_text'"),
    ],
)
def test_other_shapes_are_refused(tmp_path, content, expected):
    with pytest.raises(DataError, match=expected):
        read_questions(write(tmp_path, content))


def test_ids_may_be_whole_numbers(tmp_path):
    (question,) = read_questions(write(tmp_path, squad(RIGHT | {"id": 7})))
    assert question.id == "7" and question.problem is None
    (question,) = read_questions(write(tmp_path, squad(RIGHT | {"id": " q1"})))
    assert question.id == " q1"  # As a prediction's.
    # A JSON object has texts as keys.
    assert read_predictions(write(tmp_path, {7: "1889"})) == {"7": "1889"}


def test_what_does_not_fit_is_counted_beside_the_rest(tmp_path):
    document = squad(RIGHT, {"id": "q2"}, 3)
    document["data"] += [
        *squad(context=3)["data"],
        4,
        *squad(RIGHT | {"id": 9}, context="")["data"],
    ]
    with pytest.raises(DataError, match="question q2: expected the key 'question'"):
        read_questions(write(tmp_path, document))
    bad = BadRows(skip=True)
    found = read_questions(write(tmp_path, document), bad=bad)
    assert [question.id for question in found] == ["q1", "9"]
    assert [question.problem for question in found] == [None, "expected a context; it is empty"]
    places = ["question q2:", "question 3:", "article 2, paragraph 1:", "article 3:"]
    assert all(place in message for place, message in zip(places, bad.messages, strict=True))
    with pytest.raises(DataError, match="none of its 1 rows fits"):
        read_questions(write(tmp_path, squad(3)), bad=BadRows(skip=True))


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl", "rows.parquet"])
def test_rows_of_hugging_face(tmp_path, name):
    """The columns of its data sets `squad` and `squad_v2`."""
    row = {"id": "q1", "title": "x", "context": CONTEXT, "question": "When?"}
    row |= {"answers": {"text": ["1889", "in 1889"], "answer_start": [23, 20]}}
    none = row | {"id": "q2", "answers": {"text": [], "answer_start": []}}
    content = [row, none]
    if name.endswith(".parquet"):
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(
            pytest.importorskip("pyarrow").Table.from_pylist(content), tmp_path / name
        )
    elif name.endswith(".json"):
        write(tmp_path, content, name)
    else:
        write(tmp_path, "".join(json.dumps(values) + "\n" for values in content), name)
    first, second = read_questions(tmp_path / name)
    assert first.answers == (Answer("1889", 23), Answer("in 1889", 20))
    assert first.problem is None
    assert second.answers == () and second.problem is None
    row["answers"]["text"].pop()
    with pytest.raises(DataError, match="question q1: expected as many texts as places"):
        read_questions(write(tmp_path, [row]))


def test_another_encoding(tmp_path):
    path = tmp_path / "latin.json"
    path.write_bytes('\n{"a": "é"}'.encode("latin-1"))
    with pytest.raises(DataError, match="latin.json, line 2: expected UTF-8. .* byte 0xe9"):
        read_questions(path)


def test_predictions_and_null_odds(tmp_path):
    assert read_predictions(write(tmp_path, {"q": "a"})) == {"q": "a"}
    assert read_null_odds(write(tmp_path, {"q": -1.5})) == {"q": -1.5}
    for name in ("found.jsonl", "found.ndjson", "FOUND.JSONL"):
        lines = write(tmp_path, '{"id": "q", "text": "", "null_score": 2.5}\n', name)
        assert (read_predictions(lines), read_null_odds(lines)) == ({"q": ""}, {"q": 2.5})
    twice = '{"id": "q", "text": "", "null_score": "x"}\n' * 2
    with pytest.raises(DataError, match="line 2: expected each id once. 'q' stands in"):
        read_predictions(write(tmp_path, twice, "found.jsonl"))
    with pytest.raises(DataError, match="line 1: expected a number as null_score. Received: 'x'"):
        read_null_odds(write(tmp_path, twice, "found.jsonl"))
    with pytest.raises(DataError, match="question q: expected a text, the answer. Received: 3"):
        read_predictions(write(tmp_path, {"q": 3}))
    with pytest.raises(DataError, match="expected one JSON object"):
        read_null_odds(write(tmp_path, [1]))


@pytest.mark.parametrize(
    ("name", "questions", "problems"),
    [
        ("squad_subsets/derived_squad2_dev_6articles.json", 1905, 0),
        ("squad_subsets/squad1_custom_edited_BADSPANS.json", 396, 14),
        ("zh/cmrc2018/squad-style-data_cmrc2018_trial.json", 1002, 7),
        ("zh/cmrc2018/squad-style-data_cmrc2018_dev.json", 3219, 176),
        ("zh/cmrc2018/data_cmrc2018_dev.json", 3219, 174),
        ("zh/cmrc2018/data_cmrc2018_trial.json", 1002, 2),
    ],
)
def test_published_files(shared_data, name, questions, problems):
    found = read_questions(shared_data(name))
    assert len(found) == questions
    assert sum(question.problem is not None for question in found) == problems
