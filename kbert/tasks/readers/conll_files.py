"""Files of tagged words: sentences out of columns, JSON and tables.

- Columns, as of the CoNLL shared tasks (any suffix but those below): a word a line, its columns
  between tabs, or between spaces; a blank line ends a sentence, a line with -DOCSTART- a document.
  Lines in front of a sentence that begin with "# " and have not its columns are comments.
- `.tsv`, `.txt` and `.csv` with the columns text_a and label in the first line: a sentence a row,
  its words and its tags between spaces.
- `.jsonl`, `.ndjson`, `.json`, `.parquet`: objects {"tokens": ["Ann", ...], "tags": ["B-PER",
  ...]}, or a text with the first and last character of each entity, {"text": "...", "label":
  {"name": {"Ann": [[0, 2]]}}}, of which every character becomes a word (as CLUENER).

Tags of every scheme come as BIO, plain ones as they are (kbert/tasks/tag_schemes.py). UTF-8. A bad
line spoils its sentence: that is one bad row.
"""

import codecs
import itertools
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from kbert.errors import DataError
from kbert.tasks.readers import objects, tables
from kbert.tasks.readers.bad_rows import BadRows, not_empty
from kbert.tasks.readers.lines import decode_line, first_line, without_end
from kbert.tasks.tag_schemes import BadTag, Entity, are_plain, from_entities, to_bio
from kbert.text.words import word_spans

DOCUMENT = "-DOCSTART-"


class Sentence(NamedTuple):
    """Words and their tags, or None where they are not wanted.

    Attributes:
        where: file and line, for messages.
        lines: of a file with a word a line, that of each word.
        document: the number of the document in the file.
        text, spans: where the file has a text: that, and the (start, end) of each word in it.
    """

    words: tuple[str, ...]
    tags: tuple[str, ...] | None
    where: str
    document: int = 0
    text: str | None = None
    spans: tuple[tuple[int, int], ...] | None = None
    lines: tuple[int, ...] | None = None


class Columns(NamedTuple):
    """Numbers of the columns, from 0; negative ones from the end."""

    word: int = 0
    tag: int = -1


class ColumnsError(DataError):
    """The columns asked for are not in the file: no fault of a row."""


def read_sentences(
    path: str | pathlib.Path, columns: Columns, labelled: bool, bad: BadRows, plain: bool = False
) -> Iterator[Sentence]:
    """The sentences of a file of any of these kinds, in order, tags in BIO.

    Args:
        plain: leave the tags as they are.

    Raises DataError with file, line and what was expected; OSError for a file that cannot be read.
    """
    path = pathlib.Path(path)
    suffix = path.suffix.lower()
    if suffix in objects.SUFFIXES:
        sentences = _read_objects(path, labelled, bad)
    elif suffix in tables.TABS + tables.COMMAS and _has_text_column(path):
        sentences = _read_table(path, labelled, bad)
    else:
        sentences = _read_columns(path, columns, labelled, bad)
    for sentence in not_empty(sentences, "sentences", path, bad):
        if plain or sentence.tags is None:
            yield sentence
            continue
        try:
            yield sentence._replace(tags=to_bio(sentence.tags))
        except BadTag as error:
            lines = sentence.lines
            where = sentence.where if lines is None else f"{path}, line {lines[error.number]}"
            bad.add(DataError(f"{where}: {error}"))


def has_plain_tags(path: str | pathlib.Path, columns: Columns) -> bool:
    """Whether no tag of a file has a prefix, and not all are O."""
    sentences = read_sentences(path, columns, True, BadRows(skip=True), plain=True)
    return are_plain({tag for sentence in sentences for tag in sentence.tags})


# Columns.


def _read_columns(
    path: pathlib.Path, columns: Columns, labelled: bool, bad: BadRows
) -> Iterator[Sentence]:
    document, width = 0, None
    for block in _blocks(path):
        if _is_mark(block[0][1]):
            document += 1
            continue
        try:
            block = _without_comments(block, path, width)
            lines = [(number, _split_line(raw, path, number)) for number, raw in block]
            if lines and width is None:
                width = len(lines[0][1])
                _check_columns(path, columns, width, labelled)
            if lines:
                yield _from_lines(path, lines, width, columns, labelled)._replace(document=document)
        except ColumnsError:
            raise
        except DataError as error:
            bad.add(error)


def _blocks(path: pathlib.Path) -> Iterator[list[tuple[int, bytes]]]:
    """Numbered lines between blank lines, those that begin a document by themselves."""

    def kind(item: tuple[int, bytes]) -> str:
        return "mark" if _is_mark(item[1]) else "text" if item[1].strip() else "blank"

    with open(path, "rb") as file:
        if file.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
            file.seek(0)
        for name, block in itertools.groupby(enumerate(file, 1), kind):
            if name != "blank":
                yield list(block)


def _is_mark(raw: bytes) -> bool:
    return raw.startswith(DOCUMENT.encode())


def _without_comments(
    block: list[tuple[int, bytes]], path: pathlib.Path, width: int | None
) -> list[tuple[int, bytes]]:
    """The lines behind the comments. A word may be "#": then it has the columns of all words."""
    if width is None and block and not block[-1][1].startswith(b"# "):
        width = len(_split_line(block[-1][1], path, block[-1][0]))
    for place, (number, raw) in enumerate(block):
        same = b"\t" in raw or b"\t" not in block[-1][1]
        if not (
            raw.startswith(b"# ") and (not same or len(_split_line(raw, path, number)) != width)
        ):
            return block[place:]
    return []


def _split_line(raw: bytes, path: pathlib.Path, number: int) -> list[str]:
    line = without_end(decode_line(raw, path, number))
    if "\t" in line:
        return [cell.strip(" ") for cell in line.split("\t")]
    # Not `split()`: a word may be a space of another kind.
    return [cell for cell in line.split(" ") if cell]


def _check_columns(path: pathlib.Path, columns: Columns, width: int, labelled: bool) -> None:
    wanted = columns if labelled else columns[:1]
    for column in wanted:
        if not -width <= column < width:
            raise ColumnsError(
                f"{path} has no column {column}: expected a number from 0 to {width - 1}, or from "
                f"-{width} to -1."
            )
    if labelled and columns.word % width == columns.tag % width:
        raise ColumnsError(
            f"{path}: expected a column of words and one of tags. The first line has {width}."
        )


def _from_lines(
    path: pathlib.Path, lines: Sequence, width: int, columns: Columns, labelled: bool
) -> Sentence:
    for number, cells in lines:
        if len(cells) != width:
            raise DataError(
                f"{path}, line {number}: expected {width} columns as in the first line, received "
                f"{len(cells)}."
            )
    words = tuple(cells[columns.word] for _, cells in lines)
    numbers = tuple(number for number, _ in lines)
    for word, number in zip(words, numbers, strict=True):
        if not word:
            raise DataError(f"{path}, line {number}: expected a word. It is empty.")
    tags = tuple(cells[columns.tag] for _, cells in lines) if labelled else None
    return Sentence(words, tags, f"{path}, line {numbers[0]}", lines=numbers)


# Tables.


def _has_text_column(path: pathlib.Path) -> bool:
    return "text_a" in tables.header_of(path, first_line(path))


def _read_table(path: pathlib.Path, labelled: bool, bad: BadRows) -> Iterator[Sentence]:
    columns = {"words": "text_a"} | ({"tags": "label"} if labelled else {})
    for row in tables.read_rows(path, columns, bad=bad):
        # Not `split()`, as above.
        values = {name: cell.split(" ") for name, cell in row.cells.items()}
        try:
            yield from_words(values["words"], values.get("tags"), row.where)
        except DataError as error:
            bad.add(error)


def from_words(words: Sequence, tags: Sequence | None, where: str) -> Sentence:
    """A list of words, and one of tags, as a sentence. Raises DataError for what is none."""
    if not isinstance(words, list) or not words:
        raise DataError(f"{where}: expected a list of words. Received: {str(words)[:60]}.")
    for word in words:
        if not isinstance(word, str) or not word:
            raise DataError(f"{where}: expected words that are not empty. Received: {word!r}.")
    if tags is None:
        return Sentence(tuple(words), None, where)
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise DataError(f"{where}: expected a list of tags. Received: {str(tags)[:60]}.")
    if len(tags) != len(words):
        raise DataError(
            f"{where}: expected a tag for each of the {len(words)} words, received {len(tags)}."
        )
    return Sentence(tuple(words), tuple(tags), where)


# JSON.


def _read_objects(path: pathlib.Path, labelled: bool, bad: BadRows) -> Iterator[Sentence]:
    for values, where in objects.read_values(path, bad):
        try:
            yield _from_object(values, where, labelled)
        except DataError as error:
            bad.add(error)


def _from_object(values: object, where: str, labelled: bool) -> Sentence:
    if isinstance(values, Mapping) and "tokens" in values:
        if labelled and "tags" not in values:
            raise DataError(f'{where}: expected the key "tags". Received: {", ".join(values)}.')
        return from_words(values["tokens"], values["tags"] if labelled else None, where)
    if isinstance(values, Mapping) and isinstance(values.get("text"), str):
        sentence = from_text(values["text"], True, where)
        if not labelled:
            return sentence
        if not sentence.words:
            raise DataError(f"{where}: expected a text. It is empty.")
        return _with_spans(sentence, values.get("label"), where)
    raise DataError(
        f'{where}: expected {{"tokens": [...], "tags": [...]}} or {{"text": "...", "label": '
        f"{{...}}}}. Received: {str(values)[:60]}"
    )


def from_text(text: str, characters: bool, where: str) -> Sentence:
    """A text as a sentence without tags; without words, if the text has none."""
    spans = tuple(word_spans(text, characters))
    words = tuple(text[start:end] for start, end in spans)
    return Sentence(words, None, where, text=text, spans=spans)


def _with_spans(sentence: Sentence, label: object, where: str) -> Sentence:
    """Tags from {type: {the entity's text: [[first character, last character], ...]}}."""
    text = sentence.text
    word_at = {start: number for number, (start, _) in enumerate(sentence.spans)}
    found = []
    try:
        spans = [
            (first, last, surface, name)
            for name, surfaces in label.items()
            for surface, places in surfaces.items()
            for first, last in places
        ]
    except (AttributeError, TypeError, ValueError) as error:
        raise DataError(
            f'{where}: expected {{"type": {{"text": [[first, last]]}}}} under "label". '
            f"Received: {str(label)[:60]}"
        ) from error
    for first, last, surface, name in spans:
        inside = type(first) is type(last) is int and 0 <= first <= last < len(text)
        if not inside or text[first : last + 1] != surface or not surface.strip():
            raise DataError(
                f"{where}: expected {surface!r} at the characters {first} to {last} of the text. "
                f"Found: {text[first : last + 1] if inside else 'no such place'!r}."
            )
        covered = [word_at[place] for place in range(first, last + 1) if place in word_at]
        found.append(Entity(covered[0], covered[-1] + 1, name))
    try:
        tags = from_entities(sorted(found), len(sentence.words))
    except ValueError as error:
        raise DataError(f"{where}: {error}") from error
    return sentence._replace(tags=tags)
