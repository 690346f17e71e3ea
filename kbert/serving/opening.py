"""Open a fine-tuned model, whatever form it has: what `finetune` kept, or what was exported."""

import functools
import pathlib

from tqdm import tqdm

from kbert.errors import DataError
from kbert.files import read_object
from kbert.inference.prediction import Answerer
from kbert.tasks import TASKS
from kbert.tasks.base import Task


def open_model(
    path: str | pathlib.Path,
    batch_size: int,
    precision: str = "float32",
    progress: tqdm | None = None,
) -> tuple[Task, Answerer]:
    """The model's task, and a function from examples to answers. Raises DataError for another.

    Args:
        precision: "float32" or "bfloat16", of a checkpoint; what was exported has its own.
        progress: counts the examples that are answered.
    """
    folder = pathlib.Path(path)
    if any(folder.glob("saved_model.pb")) or any(folder.glob("*/saved_model.pb")):
        if precision != "float32":
            raise DataError(f"{folder} was exported: it computes in the precision that it has.")
        return open_saved_model(folder, batch_size, progress)
    # Needs Keras, but not TensorFlow.
    import keras

    from kbert.checkpoints.formats import load_finetuned
    from kbert.inference.answering import answer_examples

    keras.config.set_dtype_policy(precision)
    model, tokenizer, _, task = load_finetuned(path)
    answer = functools.partial(
        answer_examples, task, model, tokenizer, batch_size=batch_size, progress=progress
    )
    return task, answer


def open_saved_model(
    folder: pathlib.Path, batch_size: int, progress: tqdm | None = None
) -> tuple[Task, Answerer]:
    # Needs TensorFlow, but not Keras.
    from kbert.serving.predictor import Predictor, newest_version

    settings = newest_version(folder) / "assets" / "task.json"
    if not settings.is_file():
        raise DataError(f"{folder} is not fine-tuned: it has no {settings.name}.")
    values = read_object(settings)
    predictor = Predictor(folder, batch_size)

    def answer(examples):
        found = predictor.predict(
            [{name: getattr(example, name) for name in predictor.fields} for example in examples]
        )
        if progress is not None:
            progress.update(len(found))
        return found

    return TASKS[values["name"]].from_json(values), answer
