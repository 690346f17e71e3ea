"""A fine-tuned model, ready to answer instances, examples, pieces of files."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from kbert.errors import DataError
from kbert.inference.answering import answer_features
from kbert.inference.forward import Forward
from kbert.inference.pieces import Piece
from kbert.inference.settings import ComputeSettings
from kbert.tasks.base import Example, Task

if TYPE_CHECKING:
    import keras


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
    batch_size: int = ComputeSettings.batch_size
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
        pairs = zip(examples, answers, strict=True)
        return [{**self._asked(example), **answer} for example, answer in pairs]

    def _asked(self, example: Example) -> dict:
        """What stands before an answer: the name of what was asked, and what was asked."""
        name = getattr(example, "id", None)
        asked = {} if name is None else {"id": name}
        if self.with_input:
            values = {name: getattr(example, name) for name in self.task.instance_fields}
            asked["input"] = next(iter(values.values())) if len(values) == 1 else values
        return asked

    def answer_piece(self, piece: Piece, progress: tqdm | None = None) -> list[dict]:
        """As `answer`, with the errors of bad rows in their places."""
        answers = iter(self.answer(piece.examples, progress))
        return [
            piece.errors[place] if place in piece.errors else next(answers)
            for place in range(piece.num_answers)
        ]


def checked_instances(instances: Sequence[str | Mapping]) -> Iterator[tuple[str, str | Mapping]]:
    """Each instance behind its name for messages. Raises `DataError` for what is no list."""
    if isinstance(instances, str | bytes | Mapping) or not isinstance(instances, Sequence):
        raise DataError(f"Expected a list of instances. Received: {str(instances)[:80]!r}.")
    for number, instance in enumerate(instances):
        yield f"Instance {number}", instance
