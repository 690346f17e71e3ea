"""What the graph of an export computes: from strings to answers, a file for each kind of task.

The numbers are those of `Task.decode`, which works in NumPy on one example; here they are computed
for a batch in TensorFlow operations, in float64 too. tests/serving/test_one_answer.py compares.
"""

from collections.abc import Callable
from typing import Any

from kbert.errors import DataError
from kbert.serving.graph.base import Graph
from kbert.serving.graph.multiple_choice import MultipleChoiceGraph
from kbert.serving.graph.question_answering import QuestionAnsweringGraph
from kbert.serving.graph.tagging import TaggingGraph
from kbert.serving.graph.text_tasks import (
    ClassificationGraph,
    MultiLabelGraph,
    RegressionGraph,
)
from kbert.serving.graph.untrained import EmbeddingGraph, FillMaskGraph

# By the name of the task.
GRAPHS: dict[str, type[Graph]] = {
    "classification": ClassificationGraph,
    "regression": RegressionGraph,
    "multilabel": MultiLabelGraph,
    "choice": MultipleChoiceGraph,
    "tagging": TaggingGraph,
    "qa": QuestionAnsweringGraph,
    "embedding": EmbeddingGraph,
    "fill-mask": FillMaskGraph,
}


def graph_of(task: Any, tokenizer: Any, forward: Callable[[dict], dict]) -> Graph:
    """What answers a task's strings in a graph.

    Args:
        task: a `Task`, or what stands in its place where a model has none.
        tokenizer: a WordPieceTokenizer.
        forward: from the model's inputs to its outputs.

    Raises `DataError` for a task that has no graph.
    """
    if task.name not in GRAPHS:
        raise DataError(
            f"A SavedModel of {task.name} needs a graph that answers it: expected one of "
            f"{', '.join(GRAPHS)}. kbert serve and --format onnx answer without."
        )
    return GRAPHS[task.name](task, tokenizer, forward)
