"""What a client asks: instances from JSON, checked, put in batches, turned into tensors."""

from collections.abc import Iterator, Mapping, Sequence

import tensorflow as tf

from kbert.errors import DataError
from kbert.text.tokenizer import as_strings

TEXTS = ("text",), ("text", "second")
CHOICES = ("context", "question", "choices")
# The signatures that can be asked: the names of their inputs.
FIELDS = (*TEXTS, CHOICES)
# Of a row, which is computed at once: a request shall not take all memory.
MOST_CHOICES = 256

Row = tuple[str | tuple[str, ...], ...]  # In the order of the fields.


def example_instance(fields: Sequence[str]) -> dict:
    """An instance to show, and to try."""
    return {name: ["...", "..."] if name == "choices" else "..." for name in fields}


def parse_instances(instances, fields: tuple[str, ...]) -> list[Row]:
    """The values of each instance in the order of `fields`. Raises `DataError` for what is none."""
    if isinstance(instances, str | bytes | Mapping) or not isinstance(instances, Sequence):
        raise DataError(f"Expected a list of instances. Received: {shortened(instances)}.")
    parse = parse_choices if fields == CHOICES else parse_texts
    rows = []
    for number, instance in enumerate(instances):
        row = parse(instance, fields)
        if row is None:
            raise DataError(
                f"Instance {number}: expected {wanted(fields)}. Received: {shortened(instance)}."
            )
        rows.append(row)
    return rows


def parse_texts(instance, fields: tuple[str, ...]) -> Row | None:
    values = {"text": instance} if isinstance(instance, str) else instance
    if not isinstance(values, Mapping) or set(values) != set(fields):
        return None
    row = tuple(values[name] for name in fields)
    return row if all(isinstance(value, str) for value in row) else None


def parse_choices(instance, fields: tuple[str, ...]) -> Row | None:
    """ "" in the place of a question that is missing or None."""
    if not isinstance(instance, Mapping) or set(instance) | {"question"} != set(fields):
        return None
    context, question, choices = (instance.get(name) for name in fields)
    question = "" if question is None else question
    if not isinstance(choices, list | tuple) or not 2 <= len(choices) <= MOST_CHOICES:
        return None
    if not all(isinstance(text, str) for text in (context, question, *choices)):
        return None
    # "" stands for no choice in the graph.
    return (context, question, tuple(choices)) if all(map(str.strip, choices)) else None


def wanted(fields: tuple[str, ...]) -> str:
    if fields == CHOICES:
        return (
            '{"context": "...", "choices": ["...", "..."]}, maybe with "question", '
            f"of 2 to {MOST_CHOICES} choices, none of them empty"
        )
    named = "{" + ", ".join(f'"{name}": "..."' for name in fields) + "}"
    return f"a text or {named}" if len(fields) == 1 else named


def batches(rows: Sequence[Row], batch_size: int) -> Iterator[list[int]]:
    """The numbers of the rows computed together: of at most `batch_size` texts, or one row.

    Texts of like length share a batch, so that little is computed for padding; rows with different
    numbers of choices never do.
    """
    sizes = [[len(value) for value in row if isinstance(value, tuple)] for row in rows]
    lengths = [sum(map(len, flattened(row))) for row in rows]
    batch: list[int] = []
    for number in sorted(range(len(rows)), key=lambda number: (sizes[number], lengths[number])):
        most = max(1, batch_size // max([1, *sizes[number]]))
        if batch and (len(batch) >= most or sizes[number] != sizes[batch[0]]):
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


def flattened(row: Row) -> list[str]:
    return [text for value in row for text in (value if isinstance(value, tuple) else [value])]


def tensors(rows: Sequence[Row], fields: Sequence[str]) -> dict[str, tf.Tensor]:
    """Strings (batch,); of choices (batch, choices)."""
    return {
        name: tf.stack([as_strings(value) for value in column])
        if isinstance(column[0], tuple)
        else as_strings(column)
        for name, column in zip(fields, zip(*rows, strict=True), strict=True)
    }


def shortened(value) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:80] + " ..."
