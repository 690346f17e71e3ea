"""A fine-tuned model, ready to answer: instances, long lists of examples, lines of a stream."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any

from tqdm import tqdm

from kbert.errors import DataError
from kbert.inference.answering import answer_features
from kbert.inference.forward import Forward
from kbert.inference.lines import arriving_lines
from kbert.tasks.base import Example, Task
from kbert.tasks.readers.bad_rows import BadRows
from kbert.tasks.readers.lines import decode_line, without_end

if TYPE_CHECKING:
    import keras

# Answered at once: enough to sort by length, few enough that answers come soon.
AT_ONCE = 1024


@dataclasses.dataclass
class Answerer:
    """What answers: a task, a model of it, and the tokenizer of both.

    Args:
        model: a Keras model, or the forward pass of what was exported.
        batch_size: texts computed together, at most.
        with_input: put what was asked beside each answer, as "input": the text, or an object of
            the task's `instance_fields` where there are several.

    Attributes:
        cut: how many texts lost their end so far.
    """

    task: Task
    tokenizer: Any
    model: "keras.Model | Forward"
    batch_size: int = 64
    with_input: bool = False
    cut: int = 0

    def __post_init__(self):
        if self.batch_size < 1:
            raise DataError(f"A batch size must be at least 1. Received: {self.batch_size}.")

    def predict(self, instances: Sequence[str | Mapping]) -> list[dict]:
        """The answer to each instance, in order, ready for JSON.

        Raises `DataError` for an instance that the task does not take, naming it by its number.
        """
        parse = self.task.parse
        return self.answer([parse(found, where) for where, found in checked_instances(instances)])

    def answer(self, examples: Sequence[Example], progress: tqdm | None = None) -> list[dict]:
        """The answer to each example, in order. `progress` counts examples."""
        features = self.task.encode(examples, self.tokenizer)
        self.cut += sum(feature.cut for feature in features)
        answers = answer_features(
            self.task, self.model, features, examples, self.batch_size, progress
        )
        if not self.with_input:
            return answers
        pairs = zip(examples, answers, strict=True)
        return [{"input": self._input_of(example), **answer} for example, answer in pairs]

    def _input_of(self, example: Example) -> str | dict:
        values = {name: getattr(example, name) for name in self.task.instance_fields}
        return next(iter(values.values())) if len(values) == 1 else values

    def answer_in_pieces(
        self, examples: Sequence[Example], progress: tqdm | None = None
    ) -> Iterator[dict]:
        """The answer to each example, in order; the first ones long before the last."""
        for start in range(0, len(examples), AT_ONCE):
            yield from self.answer(examples[start : start + AT_ONCE], progress)

    def answer_lines(
        self, stream: IO[bytes], name: str, bad: BadRows, progress: tqdm | None = None
    ) -> Iterator[dict]:
        """The answer to each line of a stream, as soon as the line is there.

        In the place of a bad row stands {"error": what is wrong with it}. Unless bad rows are
        counted, raises `DataError` with `name` and line.
        """
        number = 0
        for lines in arriving_lines(stream, AT_ONCE):
            examples, errors = [], {}
            for place, raw in enumerate(lines):
                number += 1
                try:
                    line = without_end(decode_line(raw, name, number))
                    examples.append(self.task.parse(line, f"{name}, line {number}"))
                except DataError as error:
                    bad.add(error)
                    errors[place] = {"error": str(error)}
            answers = iter(self.answer(examples, progress))
            for place in range(len(lines)):
                yield errors[place] if place in errors else next(answers)


def checked_instances(instances: Sequence[str | Mapping]) -> Iterator[tuple[str, str | Mapping]]:
    """Each instance behind its name for messages. Raises `DataError` for what is no list."""
    if isinstance(instances, str | bytes | Mapping) or not isinstance(instances, Sequence):
        raise DataError(f"Expected a list of instances. Received: {str(instances)[:80]!r}.")
    for number, instance in enumerate(instances):
        yield f"Instance {number}", instance
