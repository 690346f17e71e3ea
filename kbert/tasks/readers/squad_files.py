"""Files of questions: SQuAD's JSON in any language, the same as rows, CMRC's shape, predictions.

SQuAD 1.1, 2.0, XQuAD, DRCD and CMRC's second form:

    {"data": [{"paragraphs": [{"context": "...", "qas": [
        {"id": "...", "question": "...", "is_impossible": false,
         "answers": [{"text": "...", "answer_start": 17}]}]}]}]}

As rows, in `.jsonl`, `.ndjson`, `.parquet` and a list in JSON (Hugging Face's `squad`):

    {"id": "...", "context": "...", "question": "...",
     "answers": {"text": ["..."], "answer_start": [17]}}

CMRC's first form: `[{"context_text": "...", "qas": [{"query_id": "...", "query_text": "...",
"answers": ["..."]}]}]`. It says not where an answer stands: the first place counts.
"""

import json
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from kbert.errors import DataError
from kbert.files import JSON_ERRORS
from kbert.tasks.readers import objects
from kbert.tasks.readers.bad_rows import BadRows, check_any_left
from kbert.tasks.readers.tables import read_rows

KINDS = {str: "a text", list: "a list", dict: "an object", int: "a whole number"}


class Answer(NamedTuple):
    """A right answer: the characters of the context from `start` on; None if none are it."""

    text: str
    start: int | None


class Question(NamedTuple):
    """A question about a context.

    Attributes:
        id: None for one that does not come from a file of questions.
        answers: the right ones; empty where there is none; None where they are not known.
        where: its place, for messages.
        problem: what is wrong with it or its answers, as the rest of a sentence; None if nothing,
            or if the answers are not known.
        says_impossible: SQuAD 2.0's mark; None in a file that has no such mark.
    """

    id: str | None
    question: str
    context: str
    answers: tuple[Answer, ...] | None
    where: str
    problem: str | None = None
    says_impossible: bool | None = None

    # The fields of an exported model: two texts.

    @property
    def text(self) -> str:
        return self.question

    @property
    def second(self) -> str:
        return self.context


def read_questions(
    path: str | pathlib.Path, labelled: bool = True, bad: BadRows | None = None
) -> list[Question]:
    """All questions of a file, in order.

    Args:
        labelled: whether answers are needed; False ignores them.
        bad: what to do with questions and contexts of another shape; None raises the first's error.

    Raises DataError for a file of another shape. An answer that is not where it is said to be, an
    id that comes again, and a question or a context without words (published files have them all)
    are no errors here but the question's `problem`.
    """
    path, bad = pathlib.Path(path), BadRows() if bad is None else bad
    found, ids, before = [], set(), len(bad.messages)
    for values, context, place in _raw_questions(path, bad):
        try:
            question = _question(values, context, place, path)
            if labelled:
                question = _with_answers(question, values, known=question.id in ids)
        except DataError as error:
            bad.add(error)
            continue
        ids.add(question.id)
        found.append(question)
    if not found and len(bad.messages) == before:
        raise DataError(f"{path}: expected questions, found none.")
    check_any_left(found, bad, path)
    return found


def _raw_questions(path: pathlib.Path, bad: BadRows) -> Iterator[tuple[Any, str, str]]:
    """Each question as it stands in the file, its context, and its place."""
    if path.suffix.lower() in (*objects.JSON_LINES, objects.PARQUET):
        items = objects.read_values(path, bad)
    else:
        document = _read_json(path)
        if isinstance(document, list):
            items = ((item, f"{path}, context {number}") for number, item in enumerate(document, 1))
        else:
            items = _paragraphs(document, path, bad)
    for item, where in items:
        try:
            key = "context_text" if "context_text" in _object_of(item, where) else "context"
            context = _value_of(item, key, str, where)
            if "question" in item:
                yield item, context, where
                continue
            questions = _value_of(item, "qas", list, where)
        except DataError as error:
            bad.add(error)
            continue
        for number, values in enumerate(questions, 1):
            yield values, context, f"{where}, question {number}"


def _paragraphs(document: Any, path: pathlib.Path, bad: BadRows) -> Iterator[tuple[Any, str]]:
    """Each paragraph of SQuAD's shape with its place."""
    for number, article in enumerate(_value_of(document, "data", list, str(path)), 1):
        where = f"{path}, article {number}"
        try:
            paragraphs = _value_of(article, "paragraphs", list, where)
        except DataError as error:
            bad.add(error)
            continue
        for place, paragraph in enumerate(paragraphs, 1):
            yield paragraph, f"{where}, paragraph {place}"


def _question(values: Any, context: str, where: str, path: str | pathlib.Path) -> Question:
    own = "query_id" in _object_of(values, where)
    id = _id_of(values, "query_id" if own else "id", where)
    where = f"{path}, question {id}"
    text = _value_of(values, "query_text" if own else "question", str, where)
    return Question(id, text, context, None, where)


def _with_answers(question: Question, values: Mapping, known: bool) -> Question:
    """The question with its answers, and what is wrong; `known`: whether its id comes again."""
    answers = []
    for given in _given_answers(values, question.where):
        # CMRC holds answers that became numbers.
        if isinstance(given, str | int | float) and not isinstance(given, bool):
            start = question.context.find(str(given))
            answers.append(Answer(str(given), None if start < 0 else start))
        else:
            text = _value_of(given, "text", str, question.where)
            answers.append(Answer(text, _value_of(given, "answer_start", int, question.where)))
    mark = values.get("is_impossible")
    if mark is not None and not isinstance(mark, bool):
        raise DataError(f"{question.where}: expected true or false as is_impossible.")
    question = question._replace(answers=tuple(answers), says_impossible=mark)
    return question._replace(problem=_problem_of(question, known))


def _given_answers(values: Mapping, where: str) -> list:
    """The answers one by one, also where their texts and their places are two lists."""
    given = values.get("answers")
    if not isinstance(given, Mapping):
        return _value_of(values, "answers", list, where)
    texts, starts = (_value_of(given, key, list, where) for key in ("text", "answer_start"))
    if len(texts) != len(starts):
        raise DataError(
            f"{where}: expected as many texts as places of answers. "
            f"Received: {len(texts)} and {len(starts)}."
        )
    return [
        {"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)
    ]


def _problem_of(question: Question, known: bool) -> str | None:
    """What is wrong with a question or its answers."""
    if not question.question.strip():
        return "expected a question; it is empty"
    if not question.context.strip():
        return "expected a context; it is empty"
    if known:
        return "expected each id once; this comes again"
    if question.says_impossible is not None and question.says_impossible == bool(question.answers):
        has = "an answer" if question.answers else "no answer"
        mark = json.dumps(question.says_impossible)
        return f"is_impossible is {mark}, but the question has {has}"
    for text, start in question.answers:
        if not text.strip():
            return "expected an answer with characters in it"
        if start is None:
            return f"the answer {text[:60]!r} does not stand in the context"
        length = len(question.context)
        if not 0 <= start <= length - len(text):
            return (
                f"the answer {text[:60]!r} at {start} is outside of the context, which has "
                f"{length} characters"
            )
        there = question.context[start : start + len(text)]
        if there != text:
            return f"expected the answer {text[:60]!r} at {start}; the context has {there[:60]!r}"
    return None


def is_squad2(questions: list[Question]) -> bool:
    """Whether version 2.0's rules apply: questions may have no answer."""
    return any(
        question.says_impossible is not None or not question.answers for question in questions
    )


def _value_of(values, key: str, kind: type, where: str) -> Any:
    """`values[key]`. Raises DataError unless that is there and of the kind."""
    if key not in _object_of(values, where):
        raise DataError(f"{where}: expected the key {key!r}. Received: {', '.join(values)}.")
    value = values[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise DataError(
            f"{where}: expected {KINDS[kind]} under {key!r}. Received: {str(value)[:60]!r}."
        )
    return value


def _object_of(values, where: str) -> dict:
    """The same values. Raises DataError for what is no JSON object."""
    if not isinstance(values, dict):
        raise DataError(f"{where}: expected an object. Received: {str(values)[:60]!r}.")
    return values


def _id_of(values: Mapping, key: str, where: str) -> str:
    """A text with something in it, or a whole number, as text. Raises DataError for others."""
    if key not in values:
        raise DataError(f"{where}: expected the key {key!r}. Received: {', '.join(values)}.")
    id = values[key]
    if isinstance(id, int) and not isinstance(id, bool):
        return str(id)
    if not isinstance(id, str) or not id.strip():
        raise DataError(
            f"{where}: expected a text or a whole number under {key!r}. Received: {str(id)[:60]!r}."
        )
    return id


def _read_json(path: str | pathlib.Path):
    """A JSON file in UTF-8. Raises DataError with the line where it is none."""
    raw = pathlib.Path(path).read_bytes()
    try:
        return json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        # Of the error's own bytes: a byte-order mark is none of them.
        line = error.object.count(b"\n", 0, error.start) + 1
        byte = error.object[error.start]
        raise DataError(
            f"{path}, line {line}: expected UTF-8. Received the byte 0x{byte:02x}."
        ) from error
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {error.lineno}: expected JSON: {error.msg}.") from error
    except JSON_ERRORS as error:
        raise DataError(f"{path}: expected JSON: {error}.") from error


def read_predictions(path: str | pathlib.Path) -> dict[str, str]:
    """id -> answer: one object, as SQuAD's scripts take it, or in .jsonl what kbert predicted."""
    if pathlib.Path(path).suffix.lower() in objects.JSON_LINES:
        return _read_lines(path, "text", lambda text, where: text)
    return _read_object(path, str, "a text, the answer")


def read_null_odds(path: str | pathlib.Path) -> dict[str, float]:
    """id -> how strongly the model holds that there is no answer; files as above."""
    if pathlib.Path(path).suffix.lower() in objects.JSON_LINES:
        return _read_lines(path, "null_score", _as_odds)
    return _read_object(path, (int, float), "a number, the null odds")


def _read_lines(path: str | pathlib.Path, key: str, convert: Callable) -> dict:
    found = {}
    for row in read_rows(path, {"id": "id", "value": key}):
        id, where = row.cells["id"], row.where
        if id in found:
            raise DataError(f"{where}: expected each id once. {id!r} stands in a line before.")
        found[id] = convert(row.cells["value"], where)
    return found


def _as_odds(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise DataError(f"{where}: expected a number as null_score. Received: {text!r}.") from error


def _read_object(path: str | pathlib.Path, kind, wanted: str) -> dict:
    values = _read_json(path)
    if not isinstance(values, dict):
        raise DataError(f"{path}: expected one JSON object, from ids to {wanted} each.")
    for id, value in values.items():
        if not isinstance(value, kind) or isinstance(value, bool):
            raise DataError(f"{path}, question {id}: expected {wanted}. Received: {value!r}.")
    return values
