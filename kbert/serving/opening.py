"""Open a fine-tuned model, whatever form it has: what `finetune` kept, or what was exported."""

import functools
import json
import pathlib

from kbert.errors import DataError
from kbert.inference.prediction import Answerer
from kbert.tasks import TASKS
from kbert.tasks.base import Task


def open_model(path: str | pathlib.Path, batch_size: int) -> tuple[Task, Answerer]:
    """The model's task, and a function from examples to answers. Raises DataError for another."""
    folder = pathlib.Path(path)
    if any(folder.glob("saved_model.pb")) or any(folder.glob("*/saved_model.pb")):
        return open_saved_model(folder, batch_size)
    # Needs Keras, but not TensorFlow.
    from kbert.tasks.answering import answer_examples
    from kbert.training.finetuning import load_finetuned

    model, tokenizer, _, task = load_finetuned(path)
    return task, functools.partial(answer_examples, task, model, tokenizer, batch_size=batch_size)


def open_saved_model(folder: pathlib.Path, batch_size: int) -> tuple[Task, Answerer]:
    # Needs TensorFlow, but not Keras.
    from kbert.serving.predictor import Predictor, newest_version

    settings = newest_version(folder) / "assets" / "task.json"
    if not settings.is_file():
        raise DataError(f"{folder} is not fine-tuned: it has no {settings.name}.")
    values = json.loads(settings.read_text(encoding="utf-8"))
    predictor = Predictor(folder, batch_size)

    def answer(examples):
        return predictor.predict(
            [{name: getattr(example, name) for name in predictor.fields} for example in examples]
        )

    return TASKS[values["name"]].from_json(values), answer
