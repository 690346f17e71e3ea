"""Files of questions: SQuAD's JSON in any language, CMRC 2018's own shape, and predictions.

SQuAD 1.1, 2.0, XQuAD, DRCD and CMRC's second form:

    {"data": [{"paragraphs": [{"context": "...", "qas": [
        {"id": "...", "question": "...", "is_impossible": false,
         "answers": [{"text": "...", "answer_start": 17}]}]}]}]}

CMRC's first form: `[{"context_text": "...", "qas": [{"query_id": "...", "query_text": "...",
"answers": ["..."]}]}]`. It says not where an answer stands: the first place counts.
"""

import json
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from kbert.errors import DataError
from kbert.tasks.readers.tables import JSON_ERRORS, read_rows

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


def read_questions(path: str | pathlib.Path, labelled: bool = True) -> list[Question]:
    """All questions of a file, in order.

    Args:
        labelled: whether answers are needed; False ignores them.

    Raises DataError for a file of another shape, a missing or an empty part, naming the question.
    An answer that is not where it is said to be, an id that comes again and a question without
    words (published files have them all) are no errors here but the question's `problem`.
    """
    found, ids = [], set()
    for where, paragraph in paragraphs(read_json(path), path):
        own = "context_text" in paragraph
        context = text_of(paragraph, "context_text" if own else "context", where)
        for number, values in enumerate(value_of(paragraph, "qas", list, where), 1):
            place = f"{where}, question {number}"
            id = text_of(values, "query_id" if own else "id", place).strip()
            place = f"{path}, question {id}"
            text = value_of(values, "query_text" if own else "question", str, place)
            question = Question(id, text, context, None, place)
            if labelled:
                question = with_answers(question, values, known=id in ids)
            ids.add(id)
            found.append(question)
    if not found:
        raise DataError(f"{path}: expected questions, found none.")
    return found


def with_answers(question: Question, values: Mapping, known: bool) -> Question:
    """The question with its answers, and what is wrong; `known`: whether its id comes again."""
    answers = []
    for given in value_of(values, "answers", list, question.where):
        if isinstance(given, str | float):  # CMRC holds one answer that became a number.
            start = question.context.find(str(given))
            answers.append(Answer(str(given), None if start < 0 else start))
        else:
            text = value_of(given, "text", str, question.where)
            answers.append(Answer(text, value_of(given, "answer_start", int, question.where)))
    mark = values.get("is_impossible")
    if mark is not None and not isinstance(mark, bool):
        raise DataError(f"{question.where}: expected true or false as is_impossible.")
    question = question._replace(answers=tuple(answers), says_impossible=mark)
    return question._replace(problem=problem_of(question, known))


def problem_of(question: Question, known: bool) -> str | None:
    """What is wrong with a question or its answers."""
    if not question.question.strip():
        return "expected a question; it is empty"
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


def paragraphs(document, path: str | pathlib.Path) -> Iterator[tuple[str, dict]]:
    """Each paragraph with its place, of both shapes."""
    if isinstance(document, list):
        for number, paragraph in enumerate(document, 1):
            where = f"{path}, context {number}"
            yield where, object_of(paragraph, where)
        return
    for number, article in enumerate(value_of(document, "data", list, str(path)), 1):
        where = f"{path}, article {number}"
        for place, paragraph in enumerate(value_of(article, "paragraphs", list, where), 1):
            own = f"{where}, paragraph {place}"
            yield own, object_of(paragraph, own)


def value_of(values, key: str, kind: type, where: str) -> Any:
    """`values[key]`. Raises DataError unless that is there and of the kind."""
    if key not in object_of(values, where):
        raise DataError(f"{where}: expected the key {key!r}. Received: {', '.join(values)}.")
    value = values[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise DataError(
            f"{where}: expected {KINDS[kind]} under {key!r}. Received: {str(value)[:60]!r}."
        )
    return value


def object_of(values, where: str) -> dict:
    """The same values. Raises DataError for what is no JSON object."""
    if not isinstance(values, dict):
        raise DataError(f"{where}: expected an object. Received: {str(values)[:60]!r}.")
    return values


def text_of(values, key: str, where: str) -> str:
    """A text with something in it. Raises DataError for another value."""
    text = value_of(values, key, str, where)
    if not text.strip():
        raise DataError(f"{where}: expected a text under {key!r}. It is empty.")
    return text


def read_json(path: str | pathlib.Path):
    """A JSON file in UTF-8. Raises DataError with the line where it is none."""
    raw = pathlib.Path(path).read_bytes()
    try:
        return json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, line {line}: expected UTF-8. Received the byte 0x{raw[error.start]:02x}."
        ) from error
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {error.lineno}: expected JSON: {error.msg}.") from error
    except JSON_ERRORS as error:
        raise DataError(f"{path}: expected JSON: {error}.") from error


def read_predictions(path: str | pathlib.Path) -> dict[str, str]:
    """id -> answer: one object, as SQuAD's scripts take it, or in .jsonl what kbert predicted."""
    if pathlib.Path(path).suffix == ".jsonl":
        return read_lines(path, "text", lambda text, where: text)
    return read_object(path, str, "a text, the answer")


def read_null_odds(path: str | pathlib.Path) -> dict[str, float]:
    """id -> how strongly the model holds that there is no answer; files as above."""
    if pathlib.Path(path).suffix == ".jsonl":
        return read_lines(path, "null_score", as_odds)
    return read_object(path, (int, float), "a number, the null odds")


def read_lines(path: str | pathlib.Path, key: str, convert: Callable) -> dict:
    found = {}
    for row in read_rows(path, {"id": "id", "value": key}):
        id, where = row.cells["id"], f"{path}, line {row.line}"
        if id in found:
            raise DataError(f"{where}: expected each id once. {id!r} stands in a line before.")
        found[id] = convert(row.cells["value"], where)
    return found


def as_odds(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise DataError(f"{where}: expected a number as null_score. Received: {text!r}.") from error


def read_object(path: str | pathlib.Path, kind, wanted: str) -> dict:
    values = read_json(path)
    if not isinstance(values, dict):
        raise DataError(f"{path}: expected one JSON object, from ids to {wanted} each.")
    for id, value in values.items():
        if not isinstance(value, kind) or isinstance(value, bool):
            raise DataError(f"{path}, question {id}: expected {wanted}. Received: {value!r}.")
    return values
