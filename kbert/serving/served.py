"""What a server asks of a model, whatever form it came in."""

from collections.abc import Mapping, Sequence

from kbert.inference.answerer import Answerer
from kbert.inference.fill_mask import MASK, FillMask
from kbert.serving.views import Views


class Served:
    """A model that is ready to answer; many threads may call it at once.

    Attributes:
        form: "export" or "checkpoint".
        platform: what computes, as the Open Inference Protocol names it: PROJECT_FORMAT.
        version: the number of the loaded version; 1 for a folder whose name is no number.
        answerer: what answers.
        views: what else can be shown of it.
    """

    form: str
    platform: str
    version: int = 1
    answerer: Answerer
    views: Views

    @property
    def fields(self) -> tuple[str, ...]:
        """The names in an instance: text, maybe second; or context, question, choices."""
        return self.answerer.task.instance_fields

    @property
    def example_instance(self) -> dict:
        """An instance to show, and to try."""
        text = MASK if self.answerer.task.name == FillMask.name else "..."
        return {name: ["...", "..."] if name == "choices" else text for name in self.fields}

    def predict(self, instances: Sequence[str | Mapping]) -> list[dict]:
        """The answer to each instance, in order, ready for JSON.

        Of an encoder an answer has `sequence_output` (tokens, hidden), `pooled_output` (hidden,),
        and `embedding` (width,), the vector of the text; of a masked LM `masks`, which
        `kbert.fill_mask` describes.

        Args:
            instances: what the task takes: texts, or {"text": ...}; for a task on pairs {"text":
                ..., "second": ...}; for multiple choice {"context": ..., "question": ...,
                "choices": [...]}, maybe without the question.

        Raises `DataError` for an instance that is something else, naming it by its number.
        """
        return self.answerer.predict(instances)
