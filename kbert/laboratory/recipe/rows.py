"""The labelled rows of a recipe's tasks, read once before hours of work."""

from kbert.errors import DataError
from kbert.laboratory.grid import Finetuning, Recipe


def check_rows(recipe: Recipe) -> None:
    """Read all labelled rows once. Raises `DataError` for those that cannot be learned from."""
    seen = set()
    for variant in recipe.variants.values():
        for name, task in variant.tasks.items():
            longest = variant.config.max_sequence_length
            if isinstance(task, Finetuning) and task.task.sequence_length > longest:
                raise DataError(
                    f"{name}: the model has {longest} positions. "
                    f"Received: sequence_length={task.task.sequence_length}."
                )
            if isinstance(task, Finetuning) and (read := _reading(task)) not in seen:
                seen.add(read)
                _check_rows(name, task)


def _reading(task: Finetuning) -> tuple:
    files = (task.train, task.validation, task.test, task.rows.limit)
    return (task.task.name, str(task.task.to_json()), *map(str, files))


def _check_rows(name: str, spec: Finetuning) -> None:
    examples = [example for file in spec.train for example in spec.task.read_examples(file)]
    if (spec.rows.limit or 0) > len(examples):
        raise DataError(
            f"{name}: limit must be at most the {len(examples)} rows. Received: {spec.rows.limit}."
        )
    task = spec.task.prepare(examples, ", ".join(map(str, spec.train)))
    for file in filter(None, (spec.validation, spec.test)):
        task.read_examples(file)
